-- The books have these: let them go soon. ARGV: seconds, ids.
local seconds = tonumber(ARGV[1])
local going = {}                     -- registry -> score and id of each
make_room()
for at = 2, #ARGV do
  local id = ARGV[at]
  local job = call('HMGET', job_key(id), 'lr_status', 'origin', 'lr_followers')
  if FINAL[job[1]] then
    call('EXPIRE', job_key(id), seconds)
    call('EXPIRE', 'rq:results:' .. id, seconds)
    if job[3] then call('EXPIRE', 'linkrow:followers:' .. id, seconds) end
    local registry = 'rq:' .. RQ_STATUS[job[1]] .. ':' .. job[2]
    local these = going[registry] or { 'ZADD', registry, 'XX' }
    these[#these + 1] = math.floor(NOW) + seconds
    these[#these + 1] = id
    going[registry] = these
  end
end
for _, these in pairs(going) do call(unpack(these)) end
return #ARGV - 1
