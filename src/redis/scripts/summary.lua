-- The summary of a channel: whoever owes it asks, and whoever follows it, once in a while. ARGV[1]: the
-- version that it knows, or nothing, if it wants to know none; then as always.

local owes_ms = tell_summary()
if ARGV[1] == '' or whole(version) == ARGV[1] then
  return told(era, version, false, now, {}, standing() .. owed(owes_ms) .. ',"s":true')
end
-- With what it owes behind.
return (string.gsub(summary(), '}$', owed(owes_ms) .. '}'))
