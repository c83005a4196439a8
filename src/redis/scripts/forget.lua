-- Forgets a dead node, of which nothing is left in any channel.
--
-- KEYS: 1 the leases, 2 what nodes tell of themselves, 3 how much they have, 4 who buries whom.
-- ARGV: 1 the node.

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], 'claim:' .. ARGV[1])
return 0
