-- Housekeeping. ARGV: terms (JSON: queues to look at, limit per kind).
local terms = cjson.decode(ARGV[1])
make_room()
local leases, expired, unserved = 0, 0, 0
local MOST_AT_ONCE = 5000            -- a sweep comes every two seconds

-- Ids whose time is over leave a registry, and their keys Redis: it looks for what has expired at
-- random, and among a million fences that live for a day it finds almost nothing. Touched, a key
-- that has expired is gone; one that the ledger has not booked yet has no end and stays.
local function let_go(registry)
  local over = call('ZRANGEBYSCORE', registry, '-inf', NOW - 2, 'LIMIT', 0, MOST_AT_ONCE)
  for first = 1, #over, 500 do
    local ids, keys = {}, {}
    for at = first, math.min(first + 499, #over) do
      ids[#ids + 1] = over[at]
      keys[#keys + 1] = job_key(over[at])
      keys[#keys + 1] = 'rq:results:' .. over[at]
      keys[#keys + 1] = 'linkrow:followers:' .. over[at]
    end
    call('EXISTS', unpack(keys))
    call('ZREM', registry, unpack(ids))
  end
end
for _, queue in ipairs(terms.queues) do
  leases = leases + sweep_leases(queue, terms, terms.limit)
  promote_due(queue)
  rescue_failed(queue, terms.limit)
  adopt_canceled(queue, terms, terms.limit)
  let_go('rq:finished:' .. queue)
  let_go('rq:failed:' .. queue)
  write_all()
  local list = 'rq:queue:' .. queue
  if call('EXISTS', list, 'linkrow:leases:' .. queue, 'rq:scheduled:' .. queue, 'rq:wip:' .. queue,
      'rq:finished:' .. queue, 'rq:failed:' .. queue, 'rq:canceled:' .. queue) == 0 then
    call('SREM', 'rq:queues', list)      -- the next admission names it again
  end
end
for _, member in ipairs(call('ZRANGEBYSCORE', 'linkrow:expires', '-inf', NOW, 'LIMIT', 0, terms.limit)) do
  local account, id = string.match(member, '^([^:]*):(.+)$')
  if not id then account, id = '', member end        -- a stranger's must not stop all sweeps
  local job = call('HMGET', job_key(id), 'lr_status', 'origin', 'lr_lease_id')
  if FINAL[job[1]] then
    call('ZREM', 'linkrow:expires', member)
  elseif not job[1] then
    call('ZREM', 'linkrow:expires', member)
    bury(id, account, terms.deleted_reason)
  elseif call('ZSCORE', 'rq:scheduled:' .. job[2], id) or
      call('ZSCORE', 'linkrow:leases:' .. job[2], id .. ':' .. (job[3] or '')) then
    call('ZADD', 'linkrow:expires', NOW + 60, member)  -- somebody has it, or it is tried again soon
  else
    unlist(job[2], id)
    expire(id, terms)                 -- it waits, or a stranger lost it
    expired = expired + 1
  end
end
-- Not while jobs expire: what has just moved is no refresh that lost its jobs.
for _, member in ipairs(expired == 0 and
    call('ZRANGEBYSCORE', 'linkrow:refreshes', '-inf', NOW, 'LIMIT', 0, terms.limit) or {}) do
  if judge_refresh(member) then call('ZADD', 'linkrow:refreshes', NOW + 60, member) end
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
