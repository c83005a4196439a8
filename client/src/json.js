/** What can be said as JSON, and what cannot. */

import { HerenowError } from './error.js';

/**
 * A copy, as the broker will read it, so that what the page does to its object later changes nothing.
 * @template T
 * @param {T} value an object
 * @param {'attributes' | 'options' | 'frame'} field that it is
 * @returns {T}
 * @throws {HerenowError} `invalid_` and the field, if it is no object, or JSON cannot say it: one that
 *   contains itself, a BigInt
 */
export function copy(value, field) {
  let cause;
  try {
    const same = JSON.parse(JSON.stringify(value));
    if (Object(same) === same && !Array.isArray(same)) return same;
  } catch (error) {
    cause = error;
  }
  throw new HerenowError(`invalid_${field}`, `${field} must be an object that JSON can say`, { field, cause });
}

/**
 * A text that is the same for values that are: the broker tells objects with their keys in order.
 * @param {unknown} value
 */
export function sorted(value) {
  return JSON.stringify(value ?? null, (_, inner) => (
    Object(inner) === inner && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort()) : inner
  ));
}
