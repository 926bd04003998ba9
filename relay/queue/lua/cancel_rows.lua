-- End some jobs of a canceled refresh; those that somebody else asked for too go on.
-- ARGV: <account>:<source>:<refresh>, how many rows to look at, iso, reason. Whether there are more.
local cursor = call('HGET', 'linkrow:cancelings', ARGV[1])
if not cursor then return 0 end
local source, refresh = string.match(ARGV[1], '^[^:]+:([^:]+):(.+)$')
make_room()

local function is_wanted_by_others(id, followers)
  if not followers then return false end
  for _, follower in ipairs(call('LRANGE', 'linkrow:followers:' .. id, 0, -1)) do
    if string.match(follower, '^([^\n]*)\n') ~= refresh then return true end
  end
  return false
end

local looked = call('HSCAN', 'linkrow:live:' .. source, cursor, 'COUNT', ARGV[2])
for at = 2, #looked[2], 2 do
  local id = looked[2][at]
  local job = facts_of(id)
  if job[5] == refresh and not is_wanted_by_others(id, job[13]) then
    -- Where many wait, the id stays in the list and LEASE passes over it.
    if job[12] == 'queued' then unlist(job[1], id, 2000) end
    finalise(id, { status = 'canceled', conclusion = 'canceled', outcome = '',
      skip_reason = ARGV[4], lease = 'canceled', device = '', iso = ARGV[3], result = '',
      obligation = '' }, job)
  end
end
if looked[1] == '0' then
  call('HDEL', 'linkrow:cancelings', ARGV[1])
  return 0
end
call('HSET', 'linkrow:cancelings', ARGV[1], looked[1])
return 1
