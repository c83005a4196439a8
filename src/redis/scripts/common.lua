-- What all scripts share. Numbers of more than 14 digits are texts, since cjson writes no more.

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Names the data that are here: they begin with the first script that touches them.
local function era_of(key, new)
  redis.call('SET', key, new, 'NX')
  return redis.call('GET', key)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- What a text says; nil: nothing, or what a stranger wrote.
local function decoded(text)
  if not text then return nil end
  local fine, value = pcall(cjson.decode, text)
  if fine and type(value) == 'table' then return value end
  return nil
end

local function told(era, version, changed, now, users)
  local list = nil
  if #users > 0 then list = users end
  return { e = era, v = whole(version), c = changed or nil, n = now, u = list }
end
