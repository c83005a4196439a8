-- Ends the lease of a dead node, and claims its burial. KEYS: leases, life. ARGV: the node, who claims,
-- and for how long. The answer: 0, nobody knows it; 1, it is claimed, and for how long its lease would
-- have run; 2, and how long another one's claim lasts.
-- A lease that was ended is written as minus the moment at which it would have run out.

local now = clock()
local ends = tonumber(ask('ZSCORE', KEYS[1], ARGV[1]) or '')
if not ends then return { 0, 0 } end
if ends > 0 then
  ends = -ends
  ask('ZADD', KEYS[1], whole(ends), ARGV[1])
end
local field = 'buried:' .. ARGV[1]
local by, lasts = string.match(ask('HGET', KEYS[2], field) or '', '^(%x+) (%d+)$')
if by and by ~= ARGV[2] and tonumber(lasts) > now then return { 2, tonumber(lasts) - now } end
ask('HSET', KEYS[2], field, ARGV[2] .. ' ' .. whole(now + tonumber(ARGV[3])))
return { 1, math.max(0, -ends - now) }
