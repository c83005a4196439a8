-- Takes a dead node's marks and leases out of a channel: its live marks go, its lost ones when their
-- time has come, and whoever buries it owns its leases.
--
-- ARGV: 1 the dead node, 2 the era of data that begin now, 3 the channel, 4 its topic, 5 by which
-- command to publish there, 6 who buries it, 7 why its live marks go (a reason
-- of losses: when it was last heard nobody knows, so that is now), 8 how long records are kept.

local dead, channel, topic, publish, by = ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, era = clock(), era_of(KEYS[4], ARGV[2])
local why, keep = ARGV[7] .. ' ' .. whole(now), tonumber(ARGV[8])
local version, last = head_of(KEYS[2], now)
local following = version + 1
local users, lost_until, only_kept = {}, nil, nil

local function bury(user, record)
  local mark, reason = record.m[dead], nil
  if is_lost(mark) and mark.u > now then
    lost_until = math.max(lost_until or 0, mark.u)
  elseif mark then
    record.m[dead] = nil
    reason = is_lost(mark) and mark.w or why
  end
  local changed = reason ~= nil
  for _, lease in pairs(record.l) do
    if lease.o == dead then
      lease.o, changed = by, true
    end
  end
  if not changed then
    return
  end
  local text
  if stays(record, keep) then
    record.v = whole(following)
    text = write(record)
    redis.call('HSET', KEYS[1], user, text)
    only_kept = not (next(record.m) or next(record.l))
  else
    redis.call('HDEL', KEYS[1], user)
  end
  users[#users + 1] = told_of(user, text, reason)
end

local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  -- To read a record costs more than to see that the node is not in it.
  local record = string.find(flat[i + 1], dead, 1, true) and read(flat[i + 1])
  if record then
    bury(flat[i], record)
  end
end

local changed = #users > 0
if changed then
  version = following
  settle(channel, version, last, keep, only_kept)
  redis.call(publish, topic, told(era, version, now, true, users))
end
local more = lost_until and ',"l":' .. whole(lost_until)
return told(era, version, now, changed, users, more)
