-- What a load of a channel begins with: all but the records.
--
-- KEYS: 1 the head, 2 the era of the group. ARGV: 1 the era of data that begin now.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local version = redis.call('HGET', KEYS[1], 'v')
return '{"e":"' .. redis.call('GET', KEYS[2]) .. '","v":"' .. (version or '0') .. '","n":'
  .. string.format('%.0f', now) .. '}'
