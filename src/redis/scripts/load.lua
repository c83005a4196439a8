-- What a load begins with. KEYS: the channel's head, and the era of its group; ARGV[1]: a new era.

local era = era_of(KEYS[2], ARGV[1])
local head = ask('HMGET', KEYS[1], 'version', 'counted')
local version = tonumber(head[1] or '') or 0
return told(era, version, false, clock(), {}, head[2] == '1' and ',"g":true' or '')
