/** Whether something is as a scenario says. */

/**
 * An object in a pattern may lack fields, a list may not lack entries. `$any` is anything, `$absent` is
 * a field that must not be there, and `{ "$atLeast": …, "$atMost": … }` a number.
 * @param {any} pattern @param {any} value @returns {boolean}
 */
export function matches(pattern, value) {
  if (pattern === '$any') return value !== undefined;
  if (pattern === '$absent') return value === undefined || value === null;
  if (Array.isArray(pattern)) {
    return Array.isArray(value) && value.length === pattern.length && pattern.every((each, n) => matches(each, value[n]));
  }
  if (pattern !== null && typeof pattern === 'object') {
    const { $atLeast, $atMost, ...fields } = pattern;
    if ($atLeast !== undefined && !(value >= $atLeast)) return false;
    if ($atMost !== undefined && !(value <= $atMost)) return false;
    if ($atLeast !== undefined || $atMost !== undefined) return true;
    return typeof value === 'object' && value !== null
      && Object.entries(fields).every(([name, each]) => matches(each, Object.hasOwn(value, name) ? value[name] : undefined));
  }
  return pattern === value;
}
