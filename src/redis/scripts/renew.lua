-- A node renews its lease, or takes it. KEYS: leases, infos, counts, life. ARGV: the node, how long, the
-- era that it knows, what it tells of itself, its counts, since when it knows of infos, and a new era.

local node, timeout = ARGV[1], tonumber(ARGV[2])
local now = clock()
redis.call('HSETNX', KEYS[4], 'era', ARGV[7])
local era = redis.call('HGET', KEYS[4], 'era')
local renewed = tonumber(redis.call('HGET', KEYS[4], 'renewed') or '') or 0

-- Nobody renewed for half a time-out: so the store stood still, and whoever lived then lives.
if now - renewed >= timeout / 2 and timeout > 0 then
  local asleep = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(renewed), whole(now))
  for _, other in ipairs(asleep) do
    redis.call('ZADD', KEYS[1], whole(now + timeout), other)
  end
end
local ends = redis.call('ZSCORE', KEYS[1], node)
local alive
if ends then
  alive = tonumber(ends) > now
else
  alive = ARGV[3] ~= era
end
if alive then
  redis.call('ZADD', KEYS[1], whole(now + timeout), node)
  redis.call('HSET', KEYS[4], 'renewed', whole(now))
  redis.call('HSET', KEYS[3], node, ARGV[5])
  if redis.call('HGET', KEYS[2], node) ~= ARGV[4] then
    redis.call('HSET', KEYS[2], node, ARGV[4])
    redis.call('HSET', KEYS[4], 'told:' .. node, whole(now))
  end
end
local since = tonumber(ARGV[6])
local list = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local nodes = {}
for index = 1, #list, 2 do
  local other = list[index]
  local seen = { n = other, l = tonumber(list[index + 1]) - now }
  local changed = tonumber(redis.call('HGET', KEYS[4], 'told:' .. other) or '') or 0
  if changed >= since then
    seen.i = redis.call('HGET', KEYS[2], other) or nil
  end
  nodes[#nodes + 1] = seen
end
return cjson.encode({ e = era, n = now, a = alive or nil, u = #nodes > 0 and nodes or nil })
