/**
 * The codes of the broker, those of the library, and what a newer broker may say.
 * @typedef {'bad_json' | 'unknown_type' | 'missing_field' | 'invalid_field' | 'too_large' | 'unauthenticated'
 *   | 'token_expired' | 'forbidden' | 'not_joined' | 'not_found' | 'method_not_allowed' | 'channel_full'
 *   | 'too_many_channels' | 'rate_limited' | 'presence_disabled' | 'unavailable' | 'internal'
 *   | 'invalid_url' | 'invalid_attributes' | 'invalid_options' | 'invalid_frame' | 'no_websocket' | 'unreachable' | 'unsupported_protocol' | 'token_failed' | 'kicked'
 *   | 'violation' | 'timeout' | 'too_many_requests' | 'superseded' | 'closed' | 'not_initialized'
 *   | (string & {})} ErrorCode
 */

/**
 * What was refused, or what went wrong, as one type.
 *
 * `code` is the broker's (see "Errors" in the protocol) or one of the library's own:
 *
 * - `invalid_url`: the address is none that a WebSocket could have
 * - `invalid_attributes`: JSON cannot say them
 * - `invalid_options`, `invalid_frame`: the same of the options of a join, and of a frame for `request`
 * - `no_websocket`: there is no WebSocket here; hand one in
 * - `unreachable`: nobody answers at the address, or the connection broke
 * - `unsupported_protocol`: something answers, but no broker that speaks version 1
 * - `token_failed`: the page's own function brought no token
 * - `kicked`: a back end ended all connections of the user
 * - `violation`: the broker closed because of what we sent
 * - `timeout`: no answer in time
 * - `too_many_requests`: too many requests wait for their answer
 * - `superseded`: the page left or unsubscribed before the broker had answered its join or subscribe
 * - `closed`: the client was closed
 * - `not_initialized`: a facade was used before its `init`
 */
export class HerenowError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message a sentence for people
   * @param {{field?: string, retryAfterMs?: number, closeCode?: number, cause?: unknown, wanted?: boolean}} [more]
   *   `field`: the frame's field that is at fault. `retryAfterMs`: when to try again, in milliseconds
   *   from then. `closeCode`: the Close code, if a Close told it. `cause`: what is behind it.
   *   `wanted`: whether what had no answer in time goes on being wanted.
   */
  constructor(code, message, more = {}) {
    super(message, more);
    this.name = 'HerenowError';
    /** @type {ErrorCode} */
    this.code = code;
    this.field = more.field;
    this.retryAfterMs = more.retryAfterMs;
    this.closeCode = more.closeCode;
    this.wanted = more.wanted ?? false;
  }
}
