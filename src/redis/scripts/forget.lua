-- Nothing of a dead node is left. KEYS: leases, infos, counts, life. ARGV[1]: the node.

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], 'told:' .. ARGV[1], 'buried:' .. ARGV[1])
return 1
