/** Promises that nobody has to look at when what they tell is no news. */

import { HerenowError } from './error.js';

/** @typedef {(error: HerenowError | null, answer?: any) => void} Settle */

/**
 * A promise and what settles it. Whoever awaits it learns every error. Where nobody does, what is over,
 * or goes on being wanted, raises no unhandled rejection, which would end a process.
 * @returns {{promise: Promise<any>, settle: Settle}}
 */
export function deferred() {
  /** @type {Settle} */
  let settle = () => {};
  /** @type {Promise<any>} */
  const promise = new Promise((resolve, reject) => {
    settle = (error, answer) => {
      if (!error) return resolve(answer);
      // What is wanted no longer, by a decision of the page's own.
      if (error.wanted || /superseded|closed/.test(error.code)) promise.catch(() => {});
      reject(error);
    };
  });
  return { promise, settle };
}

/**
 * The same for a promise that was made of others.
 * @template T
 * @param {Promise<T>} made
 * @returns {Promise<T>}
 */
export function quietly(made) {
  const { promise, settle } = deferred();
  made.then((answer) => settle(null, answer), settle);
  return promise;
}

export function superseded() {
  return new HerenowError('superseded', 'overtaken by another call');
}

/**
 * Those who wait for something that is being said to the broker: until it has answered, or did not hear it.
 * @param {Set<Settle>} waiting nobody in it afterwards
 * @returns {{settle: Settle, again: () => void}}
 */
export function taken(waiting) {
  const all = [...waiting];
  waiting.clear();
  return {
    settle: (error) => all.forEach((settle) => settle(error)),
    again: () => all.forEach((settle) => waiting.add(settle)),
  };
}

/** @param {Set<Settle>} waiting nobody in it afterwards @param {HerenowError | null} error */
export function settleAll(waiting, error) {
  taken(waiting).settle(error);
}
