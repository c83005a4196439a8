-- What the scripts about a channel share. For Redis 7.0 and later, and Valkey.
--
-- KEYS: 1 the records, 2 the head (`v`: version, `l`: last number in lists), 3 the channels of the
-- group, 4 the era of the group. src/cluster/say.rs says what is done, src/cluster/wire how it is
-- written. cjson writes numbers with 14 digits: larger ones are texts.

local STEP, VERSIONS_PER_MS, SAME_END_MS = 1048576, 1000, 1000

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- The era, which is `new` from now on if the data have none.
local function era_of(key, new)
  redis.call('SET', key, new, 'NX')
  return redis.call('GET', key)
end

-- A channel's version and last number, as they are or as they would begin.
local function head_of(key, now)
  local head = redis.call('HMGET', key, 'v', 'l')
  return tonumber(head[1]) or now * VERSIONS_PER_MS, tonumber(head[2]) or math.floor(now / 1000) * STEP
end

local function is_lost(mark)
  return type(mark) == 'table'
end

-- Whether the record stays: something keeps the user there, or it is kept although nothing does.
local function stays(record, keep)
  if next(record.m) or next(record.l) then
    return true
  end
  return keep > 0 and (record.a or record.i or record.s) and true or false
end

-- What a stranger wrote is as good as nothing.
local function read(text)
  local fine, record = pcall(cjson.decode, text)
  if not fine or type(record) ~= 'table' or type(record.p) ~= 'table' then
    return nil
  end
  record.m, record.l = record.m or {}, record.l or {}
  return record
end

-- What is empty is left out: cjson cannot tell an empty list from an empty map.
local function write(record)
  local marks, leases = record.m, record.l
  record.m, record.l = next(marks) and marks or nil, next(leases) and leases or nil
  local text = cjson.encode(record)
  record.m, record.l = marks, leases
  return text
end

-- What is told of one user: `record` is a text, or nil.
local function told_of(user, record, why)
  local parts = {'{"u":', cjson.encode(user)}
  if record then
    parts[#parts + 1] = ',"r":' .. record
  end
  if why then
    parts[#parts + 1] = ',"w":' .. cjson.encode(why)
  end
  parts[#parts + 1] = '}'
  return table.concat(parts)
end

local function told(era, version, now, changed, users, more)
  return '{"e":"' .. era .. '","v":"' .. whole(version) .. '","n":' .. whole(now)
    .. ',"c":' .. tostring(changed) .. (more or '') .. ',"u":[' .. table.concat(users, ',') .. ']}'
end

-- Writes what remains of a channel, which may be nothing. `only_kept`: whether only a record is left
-- that is kept although nothing keeps the user there; nil: as before.
local function settle(channel, version, last, keep, only_kept)
  if redis.call('HLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('ZREM', KEYS[3], channel)
    return
  end
  redis.call('HSET', KEYS[2], 'v', whole(version), 'l', whole(last))
  if keep == 0 then
    redis.call('ZADD', KEYS[3], 0, channel)
  elseif only_kept then
    redis.call('PEXPIRE', KEYS[1], keep)
    redis.call('PEXPIRE', KEYS[2], keep)
  elseif only_kept == false then
    redis.call('PERSIST', KEYS[1])
    redis.call('PERSIST', KEYS[2])
  end
end

