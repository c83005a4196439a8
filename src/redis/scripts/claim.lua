-- A node claims the burial of a dead one, whose lease ends by that whatever it said.
--
-- KEYS: 1 the leases, 2 the era, when one last renewed, and who buries whom. ARGV: 1 the dead node, 2
-- who claims, 3 for how long. The answer: 0, it is forgotten already; 1, claimed; 2, another node has
-- claimed it, and for how long.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local dead, me = ARGV[1], ARGV[2]

if not redis.call('ZSCORE', KEYS[1], dead) then
  return { 0, 0 }
end
redis.call('ZADD', KEYS[1], 0, dead)
local claim = redis.call('HGET', KEYS[2], 'claim:' .. dead)
local other, ends = string.match(claim or '', '^(%x+) (%d+)$')
ends = tonumber(ends) or 0
if other and other ~= me and ends > now then
  return { 2, ends - now }
end
redis.call('HSET', KEYS[2], 'claim:' .. dead, me .. ' ' .. string.format('%.0f', now + tonumber(ARGV[3])))
return { 1, 0 }
