-- Clears away what a dead node had of some users of a channel. ARGV[1]: the node; then as always; then
-- who owns its leases from here on, why its live marks go, how long records are kept, its inbox (it
-- may live by another's word), and the users.

local dead, by, why, keep = ARGV[1], ARGV[8], ARGV[9], tonumber(ARGV[10])
local following = version + 1
local users, kept, lost_until = {}, nil, nil

local function bury(user, record)
  local reason, changed = nil, false
  local mark = record.m[dead]
  if type(mark) == 'table' and mark.u > now then
    lost_until = math.max(lost_until or 0, mark.u)
  elseif mark then
    record.m[dead] = nil
    reason, changed = type(mark) == 'table' and mark.w or why, true
  end
  for _, lease in pairs(record.l) do
    if lease.o == dead then
      lease.o, changed = by, true
    end
  end
  if not changed then return end
  if keep > 0 then see(record, reason) end
  local text = nil
  if stays(record, keep) then
    record.v = whole(following)
    if keep > 0 then kept = is_only_kept(record) end
    text = write_record(user, record)
  else
    remove_record(user)
  end
  note_moved(user, text and record)
  users[#users + 1] = told_user(user, text, reason)
end

for index = 12, #ARGV do
  local record = record_of(ARGV[index])
  if record then bury(ARGV[index], record) end
end
local changed = #users > 0
if changed then version = following end
local owes_ms = finish(changed, kept, keep)
if changed then
  redis.call(ARGV[5], ARGV[4], told(era, version, changed, now, users, standing()))
  local channel = standing() .. ',"h":' .. cjson.encode(ARGV[3])
  redis.call('PUBLISH', ARGV[11], told(era, version, changed, now, users, channel))
end
local left = lost_until and ',"l":' .. whole(lost_until) or ''
return told(era, version, changed, now, users, standing() .. owed(owes_ms) .. left)
