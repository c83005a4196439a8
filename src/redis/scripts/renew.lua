-- A node renews its lease, or takes it. KEYS: leases, infos, counts, life. ARGV: the node, how long, the
-- era that it knows, what it tells of itself, its counts, since when it knows of infos, and a new era.

local node, timeout = ARGV[1], tonumber(ARGV[2])
local now = clock()
local era = ask('HGET', KEYS[4], 'era')
if not is_era(era) then
  era = ARGV[7]
  ask('HSET', KEYS[4], 'era', era)
end
local renewed = tonumber(ask('HGET', KEYS[4], 'renewed') or '') or 0

-- Nobody renewed for half a time-out: so the store stood still, and whoever lived then lives.
if now - renewed >= timeout / 2 and timeout > 0 then
  local lived = ask('ZRANGEBYSCORE', KEYS[1], '(' .. whole(renewed), '+inf')
  for _, other in ipairs(lived) do
    ask('ZADD', KEYS[1], whole(now + timeout), other)
  end
end
local ends = ask('ZSCORE', KEYS[1], node)
local alive
if ends then
  alive = tonumber(ends) > now
else
  alive = ARGV[3] ~= era
end
if alive then
  if ask('HGET', KEYS[2], node) ~= ARGV[4] then
    ask('HSET', KEYS[2], node, ARGV[4])
    ask('HSET', KEYS[4], 'told:' .. node, whole(now))
  end
  ask('HSET', KEYS[3], node, ARGV[5])
  -- Whoever leaves renews nothing: the others may still be given more time.
  if timeout > 0 then ask('HSET', KEYS[4], 'renewed', whole(now)) end
  ask('ZADD', KEYS[1], whole(now + timeout), node)
end
local since = tonumber(ARGV[6])
local list = ask('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local nodes = {}
for index = 1, #list, 2 do
  local other = list[index]
  local seen = { n = other, l = tonumber(list[index + 1]) - now }
  local changed = tonumber(ask('HGET', KEYS[4], 'told:' .. other) or '') or 0
  if changed >= since then
    seen.i = ask('HGET', KEYS[2], other) or nil
  end
  nodes[#nodes + 1] = cjson.encode(seen)
end
return '{"e":"' .. era .. '","n":' .. whole(now) .. (alive and ',"a":true' or '')
  .. ',"u":[' .. table.concat(nodes, ',') .. ']}'
