-- A node says what it has of some users.
--
-- ARGV: 1 the say, 2 the era of data that begin now, 3 the channel, 4 its topic, 5 by which command to
-- publish there, 6 how the names of inboxes begin.

local said = cjson.decode(ARGV[1])
local channel, topic, publish, inboxes = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local node, keep = said.n, said.k or 0
local now, era = clock(), era_of(KEYS[4], ARGV[2])
local version, last = head_of(KEYS[2], now)
local following = version + 1

-- What a field becomes of which everything is forgotten.
local NOTHING = { a = '{}' }

-- Whether the field is written. `forgets`: it begins anew, whatever the base.
local function set_field(record, name, say, forgets)
  local there = record[name]
  local counter, by = (there and there.c or 0) + 1, node
  if not say then
    if not (forgets and there) then
      return false
    end
    record[name] = { c = counter, n = by, t = NOTHING[name] }
    return true
  end
  if forgets then
    counter = math.max(counter, say.c or 0)
  elseif say.c then
    if there and (say.c < there.c or (say.c == there.c and say.n <= there.n)) then
      return false
    end
    counter, by = say.c, say.n
  elseif say.b == 'i' and there then
    return false
  end
  local ends
  if say.e then
    ends = {}
    for key, left in pairs(say.e) do
      ends[key] = now + left
    end
  end
  record[name] = { c = counter, n = by, t = say.t, e = ends, j = say.j }
  return true
end

-- The others' need to know is the result of this and of the next.
local function set_mark(record, say)
  local there = record.m[node]
  if type(say) == 'table' then
    local mark = { u = now + say.f, w = say.w, a = say.a }
    if is_lost(there) and math.abs(there.u - mark.u) < SAME_END_MS and there.w == mark.w
      and (there.a or false) == (mark.a or false) then
      return false
    end
    record.m[node] = mark
    return true
  end
  record.m[node] = say
  return there ~= say
end

local function set_leases(record, say)
  local changed = false
  for keeper, lease in pairs(say) do
    local there = record.l[keeper]
    if type(lease) == 'table' then
      local ends = now + lease.f
      if not (lease.r and there and there.e >= ends) then
        record.l[keeper] = { o = node, e = ends, a = lease.a }
        if not there or there.o ~= node or (there.a or false) ~= (lease.a or false) then
          changed = true
        end
      end
    elseif there and (lease == 'e' or there.o == node) then
      record.l[keeper] = nil
      changed = true
    end
  end
  return changed
end

local function says_live(say)
  if type(say.m) == 'string' then
    return true
  end
  for _, lease in pairs(say.l or {}) do
    if type(lease) == 'table' then
      return true
    end
  end
  return false
end

local function is_only_grace(record)
  if next(record.l) or not next(record.m) then
    return false
  end
  for _, mark in pairs(record.m) do
    if not is_lost(mark) then
      return false
    end
  end
  return true
end

-- The record, if it stays; whether others need to know; and the nodes whose lost marks were ended.
local function hear(old, say)
  local record = old or { m = {}, l = {} }
  local live, changed, ended = says_live(say), false, {}
  local forgets = say.f and live and is_only_grace(record) or false
  changed = set_field(record, 'a', say.a, forgets) or changed
  changed = set_field(record, 's', say.s, forgets) or changed
  changed = set_field(record, 'i', say.i, false) or changed
  changed = set_mark(record, say.m) or changed
  changed = set_leases(record, say.l or {}) or changed
  if live or say.g then
    for other, mark in pairs(record.m) do
      if other ~= node and is_lost(mark) then
        ended[#ended + 1] = other
      end
    end
    for _, other in ipairs(ended) do
      record.m[other] = nil
      changed = true
    end
  end
  if not stays(record, keep) then
    return nil, old ~= nil, ended
  end
  if set_field(record, 'p', say.p, false) then
    changed = true
    local number = tonumber(record.p.t) or 0
    if number == 0 then
      local hidden = record.s and record.s.t
      number = hidden and last + 1 or (math.floor(last / STEP) + 1) * STEP
    end
    record.p.t = whole(number)
    last = math.max(last, number)
  end
  return record, changed, ended
end

local users, news, inbox, only_kept = {}, {}, {}, nil
for _, say in ipairs(said.u) do
  local text = redis.call('HGET', KEYS[1], say.u)
  local record, changed, ended = hear(text and read(text) or nil, say)
  local now_text
  if record then
    if changed then
      record.v = whole(following)
    end
    now_text = write(record)
    redis.call('HSET', KEYS[1], say.u, now_text)
    only_kept = not (next(record.m) or next(record.l))
  elseif text then
    redis.call('HDEL', KEYS[1], say.u)
  end
  local one = told_of(say.u, now_text, say.w)
  users[#users + 1] = one
  if changed then
    news[#news + 1] = one
  end
  for _, other in ipairs(ended) do
    inbox[other] = inbox[other] or {}
    table.insert(inbox[other], one)
  end
end

local changed = #news > 0
if changed then
  version = following
end
settle(channel, version, last, keep, only_kept)
if changed then
  redis.call(publish, topic, told(era, version, now, true, news))
end
for other, those in pairs(inbox) do
  local name = ',"h":' .. cjson.encode(channel)
  redis.call('PUBLISH', inboxes .. other, told(era, version, now, changed, those, name))
end
return told(era, version, now, changed, users)
