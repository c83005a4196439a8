-- One channel: KEYS are its records, its head, the index of its group and the era of that.
-- ARGV[2..5]: a new era, the channel's name, its topic, and by which command to publish.

local STEP = 1048576 -- Between two numbers in lists that all may see.
local now = clock()
local era = era_of(KEYS[4], ARGV[2])
local head = redis.call('HMGET', KEYS[2], 'version', 'last')
local version = tonumber(head[1] or '') or now * 1000
local last = tonumber(head[2] or '') or math.floor(now / 1000) * STEP

-- The user was seen later than known.
local function see(record, why)
  local seen = why and tonumber(string.match(why, '^%a+ (%d+)$') or '')
  if not seen or seen <= (record.x or 0) then return false end
  record.x = seen
  return true
end

local function is_only_kept(record)
  return next(record.m) == nil and next(record.l) == nil
end

local function stays(record, keep)
  if not is_only_kept(record) then return true end
  return keep > 0 and (record.a or record.i or record.s or (record.x or 0) > 0) and true or false
end

local function record_of(user)
  local record = decoded(redis.call('HGET', KEYS[1], user))
  if record then
    record.m = record.m or {}
    record.l = record.l or {}
  end
  return record
end

local function keep_record(user, record)
  redis.call('HSET', KEYS[1], user, cjson.encode(record))
end

-- After all users: the head, the index, how long it is kept. `kept` is nil if that stays as it is.
local function finish(kept, keep)
  if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[2])
    redis.call('ZREM', KEYS[3], ARGV[3])
    return
  end
  redis.call('HSET', KEYS[2], 'version', whole(version), 'last', whole(last))
  if string.sub(ARGV[3], 1, 1) ~= '$' then
    redis.call('ZADD', KEYS[3], 0, ARGV[3])
  end
  if kept == true then
    redis.call('PEXPIRE', KEYS[1], keep)
    redis.call('PEXPIRE', KEYS[2], keep)
  elseif kept == false then
    redis.call('PERSIST', KEYS[1])
    redis.call('PERSIST', KEYS[2])
  end
end
