-- What a load begins with. KEYS: the channel's head, and the era of its group; ARGV[1]: a new era.

local era = era_of(KEYS[2], ARGV[1])
local version = tonumber(ask('HGET', KEYS[1], 'version') or '') or 0
return told(era, version, false, clock(), {})
