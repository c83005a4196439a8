-- One channel: KEYS are its records, its head, the index of its group and the era of that.
-- ARGV[2..5]: a new era, the channel's name, its topic, and by which command to publish.

local STEP = 1048576 -- Between two numbers in lists that all may see.
local now = clock()
local era = era_of(KEYS[4], ARGV[2])
local head = ask('HMGET', KEYS[2], 'version', 'last')
local version, last = tonumber(head[1] or ''), tonumber(head[2] or '')
local begins = not (version and last)
if begins then
  version, last = finest_clock(), math.floor(now / 1000) * STEP
  -- Before anything is written: whether the index is ours.
  ask('ZCARD', KEYS[3])
end
local removed = false

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

local function is_field(field)
  return type(field) == 'table' and is_number(field.c) and type(field.n) == 'string'
end

-- Whether it is of the shape that we write. The rest is for whoever reads it.
local function is_record(record)
  for _, name in ipairs({ 'a', 'i', 's' }) do
    if record[name] ~= nil and not is_field(record[name]) then return false end
  end
  local place = record.p
  if not (is_field(place) and is_number(place.j) and type(place.t) == 'string') then return false end
  if type(record.v) ~= 'string' or not (record.x == nil or is_number(record.x)) then return false end
  if type(record.m) ~= 'table' or type(record.l) ~= 'table' then return false end
  for _, mark in pairs(record.m) do
    local is_lost = type(mark) == 'table' and is_number(mark.u) and type(mark.w) == 'string'
    if type(mark) ~= 'string' and not is_lost then return false end
  end
  for _, lease in pairs(record.l) do
    if type(lease) ~= 'table' or not (is_number(lease.e) and type(lease.o) == 'string') then
      return false
    end
  end
  return true
end

-- A user's record, and its text.
local function record_of(user)
  local text = ask('HGET', KEYS[1], user)
  local record = decoded(text)
  if not record then return nil, text end
  record.m = record.m or {}
  record.l = record.l or {}
  if not is_record(record) then return nil, text end
  return record, text
end

-- The text of the record, which is written.
local function write_record(user, record)
  if next(record.m) == nil then record.m = nil end
  if next(record.l) == nil then record.l = nil end
  local text = cjson.encode(record)
  ask('HSET', KEYS[1], user, text)
  return text
end

local function remove_record(user)
  ask('HDEL', KEYS[1], user)
  removed = true
end

-- What is told of a user. `record` is a text.
local function told_user(user, record, why)
  return '{"u":' .. cjson.encode(user) .. (record and ',"r":' .. record or '')
    .. (why and ',"w":' .. cjson.encode(why) or '') .. '}'
end

-- After all users: the head, the index, how long it is kept. `kept` is nil if that stays as it is.
local function finish(changed, kept, keep)
  if (removed or begins) and ask('EXISTS', KEYS[1]) == 0 then
    if not begins then
      ask('DEL', KEYS[2])
      ask('ZREM', KEYS[3], ARGV[3])
    end
    return
  end
  if changed or begins then
    ask('HSET', KEYS[2], 'version', whole(version), 'last', whole(last))
  end
  if begins and string.sub(ARGV[3], 1, 1) ~= '$' then
    ask('ZADD', KEYS[3], 0, ARGV[3])
  end
  if kept == true then
    ask('PEXPIREAT', KEYS[1], whole(now + keep))
    ask('PEXPIREAT', KEYS[2], whole(now + keep))
  elseif kept == false then
    ask('PERSIST', KEYS[1])
    ask('PERSIST', KEYS[2])
  end
end
