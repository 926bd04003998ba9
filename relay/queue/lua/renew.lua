-- Work goes on. ARGV: 1 terms (JSON), 2 number of leases, then id and lease each, then ids of rows.
local terms = cjson.decode(ARGV[1])
local count = tonumber(ARGV[2])
make_room()
local out = {}
for i = 1, count do
  local id, lease = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
  local key = job_key(id)
  local job = call('HMGET', key, 'origin', 'lr_lease_id', 'lr_status', 'lr_leased_at',
    'lr_account_id', 'lr_kind')
  local state = 'lost'
  if job[5] == terms.account_id then
    local member = id .. ':' .. lease
    if job[3] == 'canceled' then
      state = 'canceled'
    elseif job[2] == lease and call('ZSCORE', 'linkrow:leases:' .. job[1], member) then
      if job[6] == 'refresh' or NOW - tonumber(job[4]) < terms.max_lease_seconds then
        state = 'renewed'
        call('ZADD', 'linkrow:leases:' .. job[1], NOW + terms.lease_seconds, member)
        call('ZADD', 'rq:wip:' .. job[1], math.floor(NOW + terms.lease_seconds + GRACE), member)
        call('HSET', 'rq:execution:' .. member, 'last_heartbeat', stamp(NOW))
        call('EXPIRE', 'rq:execution:' .. member, terms.lease_seconds + GRACE)
        call('EXPIRE', 'rq:executions:' .. id, terms.lease_seconds + GRACE)
        call('HSET', key, 'last_heartbeat', terms.iso)
      end
    end
  end
  out[i] = state
end
for i = 3 + 2 * count, #ARGV do
  local owed = call('HMGET', 'linkrow:obligation:' .. ARGV[i], 'source_id', 'holder', 'account_id')
  if owed[1] and owed[2] == terms.device_id and owed[3] == terms.account_id then
    call('ZADD', 'linkrow:obligations:' .. owed[1], 'XX', NOW + terms.obligation_seconds, ARGV[i])
  end
end
return out
