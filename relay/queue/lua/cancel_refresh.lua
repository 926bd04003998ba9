-- Stop a refresh that is not over. ARGV: account, source, refresh, iso, reason.
local member = ARGV[1] .. ':' .. ARGV[3]
local seen = call('HMGET', refresh_key(member), 'state', 'source')
if not seen[1] or seen[2] ~= ARGV[2] then return 'missing' end
if REFRESH_IS_OVER[seen[1]] then return 'final' end
make_room()
cancel_refresh(member, ARGV[4], ARGV[5])
return 'ok'
