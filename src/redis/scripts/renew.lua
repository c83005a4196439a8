-- A node renews its lease, or takes it. src/cluster/life.rs says what is no death.
--
-- KEYS: 1 the leases, 2 what nodes tell of themselves (when it changed, and the text), 3 how much they
-- have, 4 the era of all this, when one last renewed, and who buries whom.
-- ARGV: 1 the node, 2 its time-out, 3 the era that it knows, or nothing, 4 what it tells, 5 how much it
-- has, 6 since when it wants to know what others tell, 7 the era of data that begin now.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local node, timeout = ARGV[1], tonumber(ARGV[2])

local function whole(number)
  return string.format('%.0f', number)
end

redis.call('HSETNX', KEYS[4], 'era', ARGV[7])
local era = redis.call('HGET', KEYS[4], 'era')
local renewed = tonumber(redis.call('HGET', KEYS[4], 'renewed')) or 0

if now - renewed >= math.floor(timeout / 2) then
  -- Those that lived when the store stopped, and could not renew since.
  local lived = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(renewed), whole(now))
  for _, other in ipairs(lived) do
    redis.call('ZADD', KEYS[1], now + timeout, other)
  end
end

local ends = tonumber(redis.call('ZSCORE', KEYS[1], node))
local alive = ARGV[3] ~= era
if ends then
  alive = ends > now
end
if alive then
  redis.call('HSET', KEYS[4], 'renewed', whole(now))
  redis.call('ZADD', KEYS[1], now + timeout, node)
  redis.call('HSET', KEYS[3], node, ARGV[5])
  local known = redis.call('HGET', KEYS[2], node)
  local text = known and string.match(known, '^%d+ (.*)$')
  if text ~= ARGV[4] then
    redis.call('HSET', KEYS[2], node, whole(now) .. ' ' .. ARGV[4])
  end
end

local since, seen = tonumber(ARGV[6]), {}
local leases = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local info = ''
  local changed, text = string.match(redis.call('HGET', KEYS[2], leases[i]) or '', '^(%d+) (.*)$')
  if changed and tonumber(changed) >= since then
    info = ',"i":' .. cjson.encode(text)
  end
  seen[#seen + 1] = '{"n":' .. cjson.encode(leases[i]) .. ',"l":' .. whole(tonumber(leases[i + 1]) - now) .. info .. '}'
end
return '{"e":"' .. era .. '","n":' .. whole(now) .. ',"a":' .. tostring(alive)
  .. ',"u":[' .. table.concat(seen, ',') .. ']}'
