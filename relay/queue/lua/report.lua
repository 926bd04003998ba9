-- Results. ARGV: 1 terms (JSON; fields: what of an accepted job to answer), then seven per result:
--   id, lease, status, conclusion, outcome (JSON), result (for RQ), delays ("" or "2.1,10.4")
local terms = cjson.decode(ARGV[1])
local out = {}
make_room()
for at = 1, #ARGV - 1, 7 do
  local id, lease = ARGV[at + 1], ARGV[at + 2]
  local key = job_key(id)
  local won = ended_as(id)
  local job = call('HMGET', key, 'origin', 'lr_lease_id', 'lr_account_id', 'lr_device_id')
  local state = 'stale'
  if won then
    if won == lease then state = 'duplicate' end
  elseif job[3] == terms.account_id and job[2] == lease and
      call('ZSCORE', 'linkrow:leases:' .. job[1], id .. ':' .. lease) then
    local attempt = call('HINCRBY', key, 'lr_attempts', 1)
    local delays, again = ARGV[at + 7], nil
    local index = 0
    for delay in string.gmatch(delays, '[^,]+') do
      index = index + 1
      if index == attempt then again = tonumber(delay) end
    end
    if again then
      state = 'retry'
      drop_lease(job[1], id, lease, job[4])
      call('HSET', key, 'status', 'scheduled', 'lr_status', 'queued', 'lr_lease_id', NOBODY)
      call('ZADD', 'rq:scheduled:' .. job[1], NOW + again, id)
    else
      state = 'accepted'
      finalise(id, { status = ARGV[at + 3], conclusion = ARGV[at + 4], outcome = ARGV[at + 5],
        skip_reason = '', lease = lease, device = terms.device_id, iso = terms.iso,
        result = ARGV[at + 6], obligation = 'held',
        obligation_seconds = terms.obligation_seconds })
    end
  end
  out[#out + 1] = { state, state == 'accepted' and call('HMGET', key, unpack(terms.fields)) or {} }
end
return settled(out)
