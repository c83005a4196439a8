-- Ends the lease of a dead node, and claims its burial. KEYS: leases, life. ARGV: the node, who claims,
-- and for how long. The answer: 0, nobody knows it; 1, it is claimed; 2, and how long another one's
-- claim lasts.

local now = clock()
local ends = ask('ZSCORE', KEYS[1], ARGV[1])
if not ends then return { 0, 0 } end
ask('ZADD', KEYS[1], 0, ARGV[1])
local field = 'buried:' .. ARGV[1]
local by, lasts = string.match(ask('HGET', KEYS[2], field) or '', '^(%x+) (%d+)$')
if by and by ~= ARGV[2] and tonumber(lasts) > now then return { 2, tonumber(lasts) - now } end
ask('HSET', KEYS[2], field, ARGV[2] .. ' ' .. whole(now + tonumber(ARGV[3])))
return { 1, 0 }
