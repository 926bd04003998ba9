-- What scripts do about what strangers did to our jobs through RQ. It comes after library.lua.

-- A stranger queued or failed what had ended: RQ's view of it is put right again.
local function mend(queue, id, status)
  local rq_status = RQ_STATUS[status]
  call('HSET', job_key(id), 'status', rq_status)
  call('ZADD', 'rq:' .. rq_status .. ':' .. queue, math.floor(NOW) + 86400, id)
  local ttl = call('TTL', job_key(id))
  if ttl < 0 or ttl > 86400 then call('EXPIRE', job_key(id), 86400) end
end

-- What a stock rq worker or RQ's own clean-up failed. RQ keeps failures for a year, we for a day:
-- so they are told apart from ours.
local function rescue_failed(queue, limit)
  local key = 'rq:failed:' .. queue
  for _, id in ipairs(call('ZRANGEBYSCORE', key, NOW + 2 * 86400, '+inf', 'LIMIT', 0, limit)) do
    local job = call('HMGET', job_key(id), 'lr_status', 'lr_lease_id')
    call('ZREM', key, id)
    if job[1] and FINAL[job[1]] then
      mend(queue, id, job[1])
    elseif job[1] and call('ZSCORE', 'linkrow:leases:' .. queue, id .. ':' .. (job[2] or '')) then
      call('HSET', job_key(id), 'status', 'started')
      call('PERSIST', job_key(id))
    elseif job[1] then
      enqueue(queue, id, 'RPUSH')
      wake(queue, 1)
    end
  end
end

-- What somebody canceled through RQ is canceled. RQ scores it with the moment itself, so it stands
-- among those of ours whose day is over.
local function adopt_canceled(queue, terms, limit)
  local key = 'rq:canceled:' .. queue
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', NOW, 'LIMIT', 0, limit)) do
    local job = call('HMGET', job_key(id), 'lr_status', 'status')
    call('ZREM', key, id)
    if job[1] and FINAL[job[1]] then
      if RQ_STATUS[job[1]] ~= job[2] then mend(queue, id, job[1]) end
    elseif job[1] then
      finalise(id, { status = 'canceled', conclusion = 'canceled', outcome = '',
        skip_reason = terms.rq_canceled_reason, lease = 'canceled', device = '', iso = terms.iso,
        result = '', obligation = '' })
    end
  end
end

-- Somebody deleted a job that had not ended (rq empty): at least the books learn of its end.
local function bury(id, account, reason)
  call('DEL', 'linkrow:followers:' .. id)
  if ended_as(id) then return end
  call('SET', 'linkrow:done:' .. id, 'deleted canceled', 'EX', 86400)
  if account ~= '' then deepen(account, -1) end
  call('XADD', 'linkrow:outcomes', '*', 'type', 'final', 'job_id', id, 'account_id', account,
    'at', stamp(NOW), 'status', 'canceled', 'conclusion', 'canceled', 'outcome', '',
    'skip_reason', reason, 'attempts', '0', 'device_id', '', 'writeback', 'none')
end
