/**
 * The shapes of data that no file of the library makes: what a page says of its own attributes, and what
 * the broker says first. Types only.
 */

/** @typedef {import('./replica.js').Attributes} Attributes */

/**
 * What the members of all channels carry, and what tokens say of users: for pages that want both checked.
 * @typedef {{attributes?: object, info?: object}} Shape
 */

/** @template {Shape} T @typedef {T extends {attributes: infer A extends object} ? A : Attributes} AttributesOf */
/** @template {Shape} T @typedef {T extends {info: infer I extends object} ? I : Attributes} InfoOf */

/**
 * Some attributes; a null takes a key away.
 * @template {object} [A=Attributes]
 * @typedef {{[Key in keyof A]?: A[Key] | null}} Patch
 */

/**
 * What the broker says first; the protocol's `welcome`. Times are in milliseconds.
 * @typedef {object} Welcome
 * @property {number} protocol its version: 1
 * @property {string} connection this connection's id
 * @property {string} user who we are
 * @property {{name: string, version: string}} server
 * @property {{intervalMs: number, timeoutMs: number}} heartbeat
 * @property {Limits} limits
 * @property {string} sight whom we may see, as a text to compare
 * @property {number} now the broker's wall clock, since 1970
 */

/**
 * What the broker allows.
 * @typedef {object} Limits
 * @property {number} messageBytes of one message from us
 * @property {number} attributeBytes of a member's attributes, as canonical JSON
 * @property {number} attributeKeys at their top level
 * @property {number} nameBytes of a channel's or user's name
 * @property {number} channels joined or subscribed by one connection
 * @property {number} watches users watched by one connection
 * @property {number} members of one channel
 * @property {number} framesPerSecond in the long run
 * @property {number} framesBurst at once
 * @property {number} graceMs at most
 * @property {number} ttlMs at most
 * @property {number} list the largest `limit` of `getMembers`
 * @property {number} roster with more members, `auto` means `count`
 */

export {};
