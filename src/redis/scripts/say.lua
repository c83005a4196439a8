-- A node says what it has of some users. ARGV[1]: the say; ARGV[8]: how inboxes' names begin.
-- src/cluster/say.rs tells what is done, and in which order.

local say = cjson.decode(ARGV[1])
local node, keep = say.n, say.k or 0
local following = version + 1

-- Whether the stamp of `one` is larger than that of `other`.
local function later(one, other)
  if one.c ~= other.c then return one.c > other.c end
  return one.n > other.n
end

-- What is said, as it is kept: moments are the store's own.
local function kept_value(said)
  local value = { t = said.t, j = said.j }
  if said.e and next(said.e) ~= nil then
    value.e = {}
    for key, left in pairs(said.e) do value.e[key] = now + left end
  end
  return value
end

-- Whether the field was written. `forgotten`: what it becomes, whatever the base, if nothing is said.
local function write(record, field, said, forgotten)
  local known = record[field]
  local base, value
  if said then
    base, value = said.b or 'a', kept_value(said)
  elseif forgotten and known then
    base, value = 'o', forgotten
  else
    return false
  end
  local over = (known and known.c or 0) + 1
  value.c, value.n = over, node
  if forgotten then
    if base == 'a' and said.c > over then value.c = said.c end
  elseif base == 'a' then
    if known and not later(said, known) then return false end
    value.c, value.n = said.c, said.n
  elseif base == 'i' and known then
    return false
  end
  record[field] = value
  return true
end

local function is_lost(mark)
  return type(mark) == 'table'
end

local function set_mark(record, said)
  local there = record.m[node]
  if said == nil then
    record.m[node] = nil
    return there ~= nil
  end
  local mark = said
  if is_lost(said) then
    mark = { u = now + said.f, w = said.w, a = said.a }
    if is_lost(there) and math.abs(there.u - mark.u) < 1000 and there.w == mark.w
      and (there.a or false) == (mark.a or false) then
      return false
    end
  elseif there == said then
    return false
  end
  record.m[node] = mark
  return true
end

-- Whether others need to know, and whether there is anything to write. `told_apart` gets the nodes that
-- own a lease no longer.
local function set_leases(record, said, told_apart)
  local changed, moved = false, false
  for keeper, lease in pairs(said or {}) do
    local there = record.l[keeper]
    local owner = there and there.o ~= node and there.o or nil
    if type(lease) == 'table' then
      if not (lease.g and there and there.e >= now + lease.f) then
        if owner then told_apart[owner] = true end
        record.l[keeper] = { o = node, e = now + lease.f, a = lease.a }
        moved = true
        changed = changed or not there or there.o ~= node
          or (there.a or false) ~= (lease.a or false)
      end
    elseif there and (lease == 'e' or not owner) then
      if owner then told_apart[owner] = true end
      record.l[keeper] = nil
      changed = true
    end
  end
  return changed, moved or changed
end

local function takes_lease(said)
  for _, lease in pairs(said or {}) do
    if type(lease) == 'table' then return true end
  end
  return false
end

local function has_only_grace(record)
  if next(record.m) == nil or next(record.l) ~= nil then return false end
  for _, mark in pairs(record.m) do
    if not is_lost(mark) then return false end
  end
  return true
end

-- No two have one number: of what is said again after data were lost, another may have got it meanwhile.
local function place(user, record, said, was_there)
  local before = was_there and record.p or nil
  local held = { p = before }
  if not write(held, 'p', said, nil) then return false end
  record.p = held.p
  local number = tonumber(record.p.t or '0')
  if number == 0 or is_taken(whole(number), user) then
    if record.s and record.s.t then
      number = last + 1
    else
      number = (math.floor(last / STEP) + 1) * STEP
    end
  end
  record.p.t = whole(number)
  note_number(record.p.t, user)
  if number > last then last = number end
  return true
end

-- What becomes of a record, or of none: it, if it stays; whether others need to know; whether there is
-- anything to write; and the nodes whose inbox is told.
local function hear(user, record, said)
  local was_there = record ~= nil
  record = record or { v = '0', m = {}, l = {} }
  local live = type(said.m) == 'string' or takes_lease(said.l)
  local forget = said.f and live and has_only_grace(record)
  local wrote = write(record, 'a', said.a, forget and { t = '{}' } or nil)
  local changed = write(record, 's', said.s, forget and {} or nil)
  wrote = write(record, 'i', said.i, nil) or wrote
  changed = changed or wrote
  changed = set_mark(record, said.m) or changed
  local told_apart, ended = {}, {}
  local told_leases, moved = set_leases(record, said.l, told_apart)
  changed = changed or told_leases
  if live or said.g then
    for other, mark in pairs(record.m) do
      if other ~= node and is_lost(mark) then ended[#ended + 1] = other end
    end
    for _, other in ipairs(ended) do
      record.m[other], told_apart[other] = nil, true
    end
    changed = changed or #ended > 0
  end
  if keep > 0 then
    changed = see(record, said.w) or changed
    if wrote then
      for other, mark in pairs(record.m) do
        if other ~= node and not is_lost(mark) then told_apart[other] = true end
      end
    end
  end
  if not stays(record, keep) then return nil, was_there, true, told_apart end
  changed = place(user, record, said.p, was_there) or changed
  return record, changed, changed or moved, told_apart
end

local users, changed_users, inboxes = {}, {}, {}
local kept = nil
for _, said in ipairs(say.u) do
  local before, text = record_of(said.u)
  local record, changed, moved, told_apart = hear(said.u, before, said)
  if record then
    if keep > 0 then kept = is_only_kept(record) end
    if changed then record.v = whole(following) end
    if moved then text = write_record(said.u, record) end
    if changed then note_moved(said.u, record) end
  else
    if text then remove_record(said.u) end
    if changed then note_moved(said.u, nil) end
    text = nil
  end
  local user = told_user(said.u, text, said.w)
  users[#users + 1] = user
  if changed then changed_users[#changed_users + 1] = user end
  for other in pairs(told_apart) do
    inboxes[other] = inboxes[other] or {}
    table.insert(inboxes[other], user)
  end
end
local changed = #changed_users > 0
if changed then version = following end
local owes_ms = finish(changed, kept, keep)
local answer = told(era, version, changed, now, users, standing() .. owed(owes_ms))
if changed then
  local all = #changed_users == #users and not owes_ms and answer
  redis.call(ARGV[5], ARGV[4], all or told(era, version, true, now, changed_users, standing()))
end
for other, its_users in pairs(inboxes) do
  local channel = standing() .. ',"h":' .. cjson.encode(ARGV[3])
  redis.call('PUBLISH', ARGV[8] .. other, told(era, version, changed, now, its_users, channel))
end
return answer
