-- Housekeeping. ARGV: terms (JSON: queues to look at, limit per kind).
local terms = cjson.decode(ARGV[1])
local leases, expired, unserved = 0, 0, 0
for _, queue in ipairs(terms.queues) do
  leases = leases + sweep_leases(queue, terms, terms.limit)
  promote_due(queue)
  for _, registry in ipairs({ 'finished', 'failed', 'canceled' }) do
    call('ZREMRANGEBYSCORE', 'rq:' .. registry .. ':' .. queue, '-inf', '(' .. stamp(NOW))
  end
end
for _, id in ipairs(call('ZRANGEBYSCORE', 'linkrow:expires', '-inf', NOW, 'LIMIT', 0, terms.limit)) do
  local job = call('HMGET', job_key(id), 'status', 'lr_status', 'origin')
  if not job[2] or FINAL[job[2]] then
    call('ZREM', 'linkrow:expires', id)
  elseif job[1] == 'queued' then
    call('LREM', 'rq:queue:' .. job[3], 1, id)
    expire(id, terms)
    expired = expired + 1
  else
    call('ZADD', 'linkrow:expires', NOW + 60, id)      -- somebody has it, or it is tried again soon
  end
end
local long_ago = NOW - terms.unserved_seconds
for _, id in ipairs(call('ZRANGEBYSCORE', 'linkrow:unserved', '-inf', long_ago, 'LIMIT', 0, terms.limit)) do
  if note_writeback(id, 'failed', terms.unserved_reason, '') then
    unserved = unserved + 1
  else
    call('ZREM', 'linkrow:unserved', id)
  end
end
return { leases, expired, unserved }
