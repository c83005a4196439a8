-- What all scripts share. Numbers of more than 14 digits are texts, since cjson writes no more.

-- As redis.call, of a key. What a stranger has put there is an error that names it.
local function ask(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    error(redis.error_reply('ERR ' .. key .. ' cannot be used: ' .. answer.err))
  end
  return answer
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- In microseconds: no two scripts see the same.
local function finest_clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function is_era(text)
  return type(text) == 'string' and #text == 16 and not string.find(text, '%X')
end

-- Names the data that are here: they begin with the first script that touches them.
local function era_of(key, new)
  local era = ask('GET', key)
  if is_era(era) then return era end
  ask('SET', key, new)
  return new
end

local function whole(number)
  return string.format('%.0f', number)
end

-- A number that cjson keeps as it is.
local function is_number(value)
  return type(value) == 'number' and value >= 0 and value < 1e14
end

-- What a text says; nil: nothing, or what a stranger wrote.
local function decoded(text)
  if not text then return nil end
  local fine, value = pcall(cjson.decode, text)
  if fine and type(value) == 'table' then return value end
  return nil
end

-- What is answered and published. `users` are texts; so is `more`, which begins with a comma.
local function told(era, version, changed, now, users, more)
  return '{"e":"' .. era .. '","v":"' .. whole(version) .. '","n":' .. whole(now)
    .. (changed and ',"c":true' or '') .. (more or '')
    .. ',"u":[' .. table.concat(users, ',') .. ']}'
end
