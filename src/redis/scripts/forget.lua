-- Nothing of a dead node is left. KEYS: leases, infos, counts, life. ARGV[1]: the node.

ask('ZREM', KEYS[1], ARGV[1])
ask('HDEL', KEYS[2], ARGV[1])
ask('HDEL', KEYS[3], ARGV[1])
ask('HDEL', KEYS[4], 'told:' .. ARGV[1], 'buried:' .. ARGV[1])
return 1
