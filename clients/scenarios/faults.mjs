/**
 * Faults to plant into the Python client: each is one that somebody might write, and must be found by the
 * scenario that it names.
 *
 * @type {{file: string, what: string, instead: string, found: string}[]}
 */
export const FAULTS = [
  { file: '_replica.py', what: 'if seq > replica.seq + 1:', instead: 'if seq > replica.seq + 2:', found: 'a gap' },
  {
    file: '_replica.py',
    what: 'if seq > replica.seq + 1:',
    instead: 'if seq == replica.seq:\n        return Step(replica)\n    if seq > replica.seq + 1:',
    found: 'a seq that repeats',
  },
  { file: '_replica.py', what: 'may_miss = partial or epoch', instead: 'may_miss = partial and epoch', found: 'a broker that restarts' },
  { file: '_carried.py', what: '(not entry.theirs) if is_all', instead: 'True if is_all', found: 'what another wrote' },
  { file: '_membership.py', what: '"ttlMs": said.ttl_ms', instead: '"ttlMs": None', found: 'keys that end by themselves' },
  { file: '_membership.py', what: 'if error and error.code == "not_joined"', instead: 'if error and error.code == "never"', found: 'a write that met no member' },
  { file: '_credentials.py', what: '_FLOOR_MS = 1_000\n', instead: '_FLOOR_MS = 1\n', found: 'a token that cannot be fetched' },
  { file: '_link.py', what: 'BACK_SOON = 4200', instead: 'BACK_SOON = 1000', found: 'a line that is dead on one side' },
  { file: '_link.py', what: 'wait_ms = (self._goaway or {}).get("reconnectInMs")', instead: 'wait_ms = None', found: 'a broker that shuts down' },
  { file: '_link.py', what: 'if len(text.encode()) > most:', instead: 'if len(text) > most:', found: 'a frame that is too large' },
  { file: '_outbox.py', what: 'frames_per_second * 0.9', instead: 'frames_per_second * 9', found: 'questions that queue' },
  { file: '_outbox.py', what: 'loop.time() + wait_ms / 1_000 if wait_ms else 0.0', instead: '0.0', found: 'too fast for the broker' },
  { file: '_client.py', what: 'if self.is_away or self._turning:', instead: 'if self._turning:', found: 'away, and cut' },
  { file: '_channel.py', what: 'place = replica.since(self._replica)', instead: 'place = None', found: 'a cut, and back in time' },
  { file: '_requests.py', what: 'if request.due and (request.is_query or not is_busy):', instead: 'if request.due:', found: 'requests in order' },
];
