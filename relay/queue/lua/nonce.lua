-- The gate of every request but an admission. ARGV: key, nonce, timestamp.
make_room()
return gate(ARGV[1], ARGV[2], tonumber(ARGV[3]), 0) or 'ok'
