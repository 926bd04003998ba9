-- The books have these: let them go soon. ARGV: seconds, ids.
local seconds = tonumber(ARGV[1])
make_room()
for at = 2, #ARGV do
  local id = ARGV[at]
  local job = call('HMGET', job_key(id), 'lr_status', 'status', 'origin')
  if FINAL[job[1]] then
    call('EXPIRE', job_key(id), seconds)
    call('EXPIRE', 'rq:results:' .. id, seconds)
    call('EXPIRE', 'linkrow:followers:' .. id, seconds)
    call('EXPIRE', 'rq:executions:' .. id, seconds)
    call('ZADD', 'rq:' .. RQ_STATUS[job[1]] .. ':' .. job[3], 'XX', math.floor(NOW) + seconds, id)
  end
end
return #ARGV - 1
