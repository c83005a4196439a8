-- One channel: KEYS are its records, its head, the index of its group, the era of that, and, of a large
-- channel, those whom all may see by their numbers in lists. ARGV[2..7]: a new era, the channel's name,
-- its topic, by which command to publish, the topic of its summary, and above how many members they are
-- counted.

local STEP = 1048576 -- Between two numbers in lists that all may see.
-- As in src/cluster/summary.rs, where they are explained.
local LARGE, NEWEST, SUMMARY_MS, NEWEST_BYTES = 256, 200, 1000, 65536
local NAME_BYTES, FIELD_BYTES = 96, 16
local now = clock()
local era = era_of(KEYS[4], ARGV[2])
local head = ask('HMGET', KEYS[2], 'version', 'last', 'large', 'counted', 'told', 'at')
local version, last = tonumber(head[1] or ''), tonumber(head[2] or '')
local begins = not (version and last)
local roster = tonumber(ARGV[7])
-- Whether there is an index of those whom all may see; whether subscribers are told how many there are
-- instead of who; and of which version the last summary was, and when it was told.
local large, counted = head[3] == '1', head[4] == '1'
local told_version, told_at = tonumber(head[5] or ''), tonumber(head[6] or '') or 0
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

-- The record that a text is.
local function read_record(text)
  local record = decoded(text)
  if not record then return nil end
  record.m = record.m or {}
  record.l = record.l or {}
  if not is_record(record) then return nil end
  return record
end

-- A user's record, and its text.
local function record_of(user)
  local text = ask('HGET', KEYS[1], user)
  return read_record(text), text
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

-- Where whoever has that number stands in the index: whom all may see by the number, and the others below
-- zero, where they are neither counted nor among the newest.
local function score_of(number, hidden)
  return whole(hidden and -2 - number or number)
end

local function score(record)
  local number = string.match(record.p.t, '^%d+$') and #record.p.t <= 16 and record.p.t or '0'
  return score_of(tonumber(number), record.s and record.s.t)
end

-- Users that changed, each with its place in the index, if it has one.
local moved_users = {}

local function note_moved(user, record)
  moved_users[#moved_users + 1] = { user, record and score(record) }
end

-- Of all users anew. The empty name stands for the index itself: nobody may be in it.
local function build_index()
  ask('DEL', KEYS[5])
  ask('ZADD', KEYS[5], -1, '')
  local all = ask('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    local record = read_record(all[at + 1])
    if record then ask('ZADD', KEYS[5], score(record), all[at]) end
  end
end

-- A stranger may have removed it, or put something else there.
local function has_index()
  local size = redis.pcall('ZCARD', KEYS[5])
  return type(size) == 'number' and size > 0
end

-- How many all may see, by the index.
local function count_shown()
  return ask('ZCOUNT', KEYS[5], 0, '+inf')
end

-- Who has which number in lists, as far as that was looked up: of a small channel of all, of a large
-- one of those who got one just now, whom the index does not have yet.
local holders = nil

local function note_number(number, user)
  if holders then holders[number] = user end
end

local function look_up_numbers()
  holders = {}
  if large then
    if not has_index() then build_index() end
    return
  end
  local all = ask('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    local record = read_record(all[at + 1])
    if record then holders[record.p.t] = all[at] end
  end
end

-- Whether somebody else has that number.
local function is_taken(number, user)
  local function has_it(other)
    if not other or other == user or other == '' then return false end
    local record = record_of(other)
    return record ~= nil and record.p.t == number
  end
  if not holders then look_up_numbers() end
  if has_it(holders[number]) then return true end
  for _, hidden in ipairs(large and { false, true } or {}) do
    local at = score_of(tonumber(number), hidden)
    for _, other in ipairs(ask('ZRANGE', KEYS[5], at, at, 'BYSCORE')) do
      if has_it(other) then return true end
    end
  end
  return false
end

-- Keeps the index, and decides whether members are counted: all nodes go by this.
local function tend_index()
  local size, from = ask('HLEN', KEYS[1]), math.min(roster, LARGE)
  if size * 2 <= from or (size <= from and not large) then
    if large then ask('DEL', KEYS[5]) end
    large, counted = false, false
    return
  end
  if not (large and has_index()) then
    build_index()
  else
    for _, moved in ipairs(moved_users) do
      if moved[2] then
        ask('ZADD', KEYS[5], moved[2], moved[1])
      else
        ask('ZREM', KEYS[5], moved[1])
      end
    end
  end
  large = true
  local count = count_shown()
  if count > roster then
    counted = true
  elseif count * 5 <= roster * 4 then
    counted = false
  end
end

-- What is told with everything of the channel.
local function standing()
  return counted and ',"g":true' or ''
end

-- How many there are, and the newest of them.
local function summary()
  local count, newest = 0, {}
  if counted then
    if not has_index() then build_index() end
    count = count_shown()
    local named, left = 0, NEWEST_BYTES
    local users = ask('ZRANGE', KEYS[5], '+inf', 0, 'BYSCORE', 'REV', 'LIMIT', 0, NEWEST)
    for _, user in ipairs(users) do
      local record = record_of(user)
      if record then
        named = named + NAME_BYTES + #user + (record.i and record.i.t and #record.i.t or 2)
        if named > NEWEST_BYTES then break end
        left = left - FIELD_BYTES - (record.a and record.a.t and #record.a.t or 2)
        local short = { v = record.v, p = record.p, i = record.i, a = left > 0 and record.a or nil }
        newest[#newest + 1] = told_user(user, cjson.encode(short), nil)
      end
    end
  end
  return told(era, version, false, now, newest, standing() .. ',"k":' .. whole(count))
end

-- Tells the summary to those who follow it, if that is due: once a second at most. In how many
-- milliseconds somebody has to ask for that; nil: nobody does.
local function tell_summary()
  -- Whoever was told that members are counted is told when they are not any longer.
  if not (counted or told_version) or told_version == version then return nil end
  -- The clock may have been set back.
  if told_version and now >= told_at and now < told_at + SUMMARY_MS then
    return told_at + SUMMARY_MS - now
  end
  redis.call(ARGV[5], ARGV[6], summary())
  if counted then
    told_version, told_at = version, now
    ask('HSET', KEYS[2], 'told', whole(version), 'at', whole(now))
  else
    told_version = nil
    ask('HDEL', KEYS[2], 'told', 'at')
  end
  return nil
end

-- As it is told to whoever asked.
local function owed(owes_ms)
  return owes_ms and ',"o":' .. whole(owes_ms) or ''
end

-- After all users: the head, the index, how long it is kept. `kept` is nil if that stays as it is. As
-- `tell_summary`.
local function finish(changed, kept, keep)
  if (removed or begins) and ask('EXISTS', KEYS[1]) == 0 then
    if not begins then
      ask('DEL', KEYS[2])
      ask('ZREM', KEYS[3], ARGV[3])
      if large then ask('DEL', KEYS[5]) end
      counted, told_at = false, 0
      if told_version then redis.call(ARGV[5], ARGV[6], summary()) end
    end
    return nil
  end
  local was_large, was_counted = large, counted
  if changed and keep == 0 then tend_index() end
  if changed or begins then
    ask('HSET', KEYS[2], 'version', whole(version), 'last', whole(last))
  end
  if begins and string.sub(ARGV[3], 1, 1) ~= '$' then
    ask('ZADD', KEYS[3], 0, ARGV[3])
    -- For whoever wants to know which channels there are: the topic is called as the index is.
    redis.call(ARGV[5], KEYS[3], ARGV[3])
  end
  if kept == true then
    ask('PEXPIREAT', KEYS[1], whole(now + keep))
    ask('PEXPIREAT', KEYS[2], whole(now + keep))
  elseif kept == false then
    ask('PERSIST', KEYS[1])
    ask('PERSIST', KEYS[2])
  end
  if large ~= was_large then
    if large then ask('HSET', KEYS[2], 'large', '1') else ask('HDEL', KEYS[2], 'large') end
  end
  if counted ~= was_counted then
    if counted then ask('HSET', KEYS[2], 'counted', '1') else ask('HDEL', KEYS[2], 'counted') end
  end
  return tell_summary()
end
