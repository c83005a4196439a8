/** What can be said as JSON, and what cannot. */

import { HerenowError } from './error.js';

/** @param {unknown} value */
function isObject(value) {
  return value && typeof value === 'object' && !Array.isArray(value);
}

/**
 * A copy, as the broker will read it, so that what the page does to its object later changes nothing. Its
 * keys are in order, as the broker tells them.
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
    const text = JSON.stringify(value, (_, inner) => (isObject(inner) ? Object.fromEntries(Object.entries(inner).sort()) : inner));
    const same = JSON.parse(text);
    if (isObject(same)) return same;
  } catch (error) {
    cause = error;
  }
  throw new HerenowError(`invalid_${field}`, `${field} must be an object that JSON can say`, { field, cause });
}

/** Whether two copies say the same; what is absent is null. @param {unknown} a @param {unknown} b */
export function same(a, b) {
  return JSON.stringify([a]) === JSON.stringify([b]);
}
