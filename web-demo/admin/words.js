/** Numbers, times and members in words. Pure: time is passed in. */

const WHOLE = new Intl.NumberFormat('en');
const TENTHS = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** @param {number} number */
export function whole(number) {
  return WHOLE.format(Math.round(number));
}

/** How often in a second. @param {number} number */
export function perSecond(number) {
  return `${number < 100 ? TENTHS.format(number) : whole(number)}/s`;
}

/** @param {number} bytes */
export function inBytes(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const unit = Math.min(units.length - 1, bytes ? Math.floor(Math.log2(bytes) / 10) : 0);
  return `${TENTHS.format(bytes / 1024 ** unit)} ${units[unit]}`;
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

/** Attributes, as a person reads them. @param {Record<string, unknown>} attributes */
export function attributesText(attributes) {
  const text = (/** @type {unknown} */ value) => (typeof value === 'string' ? value : JSON.stringify(value));
  return Object.entries(attributes).map(([key, value]) => `${key}: ${text(value)}`).join(' · ');
}

/**
 * What keeps a member present.
 * @param {{kind: string, connection?: string, node?: string, lost?: boolean}} source
 */
export function sourceText({ kind, connection, node, lost }) {
  if (kind === 'connection') return lost ? `${connection}, lost` : `${connection}`;
  return kind === 'node' ? `node ${node}` : kind;
}

/** What became of a member, for the list of what happened. @param {string} event @param {string} [reason] */
export function eventText(event, reason) {
  switch (event) {
    case 'join': return 'came';
    case 'leave': return reason === 'kicked' ? 'was kicked' : 'left';
    case 'timeout': return `was lost (${reason})`;
    case 'updateAttributes': return 'changed';
    default: return event;
  }
}

/** How a user stands. @param {any} status */
export function statusText({ online, away, busy, invisible }) {
  const said = [online ? (away ? 'away' : 'online') : 'offline', busy ? 'busy' : '', invisible ? 'invisible to others' : ''];
  return said.filter(Boolean).join(', ');
}
