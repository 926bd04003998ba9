-- Hand out work. ARGV: 1 terms (JSON), then the random half of each lease id.
local terms = cjson.decode(ARGV[1])
local unclaimed, reading = {}, {}
for _, source in ipairs(terms.readable) do
  local seen = call('MGET', 'linkrow:source:' .. source, 'linkrow:reading:' .. source)
  if seen[1] and seen[1] ~= terms.account_id then return { 'unknown_source', source } end
  if not seen[1] then unclaimed[#unclaimed + 1] = source end
  if seen[2] and terms.refresh then reading[#reading + 1] = 'links.' .. source .. '.refresh' end
end
make_room()
for _, source in ipairs(unclaimed) do
  claim_source(source, terms.account_id, terms.device_id)
end
local out, due = {}, 0
local function sooner(score)
  if score and (due == 0 or score < due) then due = score end
end
local function first_score(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2])
end

-- Rows that somebody was to write and did not: the result is stored, nothing is fetched again.
for _, source in ipairs(terms.sources) do
  local key = 'linkrow:obligations:' .. source
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', NOW, 'LIMIT', 0, terms.max - #out)) do
    local owed = 'linkrow:obligation:' .. id
    if call('EXISTS', owed) == 0 then
      call('ZREM', key, id)
    else
      local delivery = call('HINCRBY', owed, 'deliveries', 1)
      call('HSET', owed, 'holder', terms.device_id)
      call('ZADD', key, NOW + terms.obligation_seconds, id)
      local lease = delivery .. '-' .. ARGV[2 + #out]
      out[#out + 1] = { 'writeback', id, lease, delivery,
        call('HMGET', owed, 'data', 'account_id', 'kind', 'status', 'conclusion', 'outcome',
          'skip_reason', 'attempts', 'created_at', 'checked_at', 'result_device') }
    end
    if #out >= terms.max then break end
  end
end

local now = stamp(NOW)
local shown_until = NOW + terms.lease_seconds + GRACE

-- What the list held: handed out, if it is a job that waits.
local function take(queue, id)
  local key = job_key(id)
  local job = call('HMGET', key, 'data', 'status', 'lr_status', 'lr_deliveries', 'lr_attempts',
    'lr_lease_id', 'lr_account_id', 'lr_kind', 'lr_source_id')
  if not (job[1] and job[3]) then return end
  if FINAL[job[3]] then return mend(queue, id, job[3]) end
  if job[6] and job[6] ~= NOBODY and
      call('ZSCORE', 'linkrow:leases:' .. queue, id .. ':' .. job[6]) then
    call('HSET', key, 'status', 'started')               -- a stranger queued what somebody works on
    return
  end
  if job[2] ~= 'queued' then return end
  local expires = call('ZSCORE', 'linkrow:expires', expiry_of(job[7], id))
  if expires and tonumber(expires) <= NOW then return expire(id, terms) end
  local delivery = tonumber(job[4] or '0') + 1
  local lease = delivery .. '-' .. ARGV[2 + #out]
  local member = id .. ':' .. lease
  call('HSET', key, 'status', 'started', 'started_at', terms.iso,
    'last_heartbeat', terms.iso, 'worker_name', terms.device_id, 'lr_status', 'running',
    'lr_lease_id', lease, 'lr_leased_at', now, 'lr_device_id', terms.device_id,
    'lr_deliveries', delivery)
  later('ZADD', 'linkrow:leases:' .. queue, NOW + terms.lease_seconds, member)
  later('ZADD', 'rq:wip:' .. queue, math.floor(shown_until), member)
  later('SADD', 'linkrow:held:' .. terms.device_id, member)
  local execution = 'rq:execution:' .. member
  call('HSET', execution, 'id', lease, 'created_at', now, 'last_heartbeat', now,
    'worker_name', terms.device_id)
  call('EXPIRE', execution, terms.lease_seconds + GRACE)
  call('ZADD', 'rq:executions:' .. id, shown_until, lease)
  call('EXPIRE', 'rq:executions:' .. id, terms.lease_seconds + GRACE)
  if job[8] == 'refresh' then refresh_taken(id) end
  out[#out + 1] = { job[8] or 'link', id, lease, delivery, { job[1], tonumber(job[5] or '0') + 1, job[9] } }
end

local function serve(queue)
  local list = 'rq:queue:' .. queue
  sweep_leases(queue, terms, 100)
  promote_due(queue)
  local looked = 0
  while #out < terms.max and looked < terms.max + 1000 do
    local ids = call('LPOP', list, terms.max - #out)
    if not ids then break end
    looked = looked + #ids
    for at, id in ipairs(ids) do
      local ok, why = pcall(take, queue, id)
      if not ok then                 -- a key that a stranger spoilt: the others are not lost by it
        for rest = #ids, at + 1, -1 do call('LPUSH', list, ids[rest]) end
        error(why, 0)
      end
    end
  end
  if #out < terms.max and call('EXISTS', list) == 1 then sooner(NOW) end
  sooner(first_score('rq:scheduled:' .. queue))
  sooner(first_score('linkrow:leases:' .. queue))
end
-- To read a source comes before its rows, and it is known already which ones there are to read.
for _, queue in ipairs(reading) do
  if #out >= terms.max then break end
  serve(queue)
end
for _, queue in ipairs(terms.queues) do
  if #out >= terms.max then break end
  -- Most of the queues that an agent could serve are empty.
  if call('EXISTS', 'rq:queue:' .. queue, 'rq:scheduled:' .. queue, 'linkrow:leases:' .. queue) > 0
  then
    serve(queue)
  end
end
for _, source in ipairs(terms.sources) do sooner(first_score('linkrow:obligations:' .. source)) end
-- Somebody else may be waiting for the rest.
if #out >= terms.max then
  for _, queue in ipairs(reading) do
    if call('LLEN', 'rq:queue:' .. queue) > 0 then wake(queue, 1) end
  end
  for _, queue in ipairs(terms.queues) do
    if call('LLEN', 'rq:queue:' .. queue) > 0 then wake(queue, 1) end
  end
end
return { 'ok', out, due > 0 and stamp(math.max(0, due - NOW)) or '' }
