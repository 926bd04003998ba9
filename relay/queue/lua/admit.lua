-- One request becomes jobs, all of them or none.
-- ARGV: 1 head (JSON), 2 RQ fields all jobs share (JSON list), then seven per job:
--       id, queue, same, request (JSON), data (RQ's bytes), follower (JSON), expires_in
local head = cjson.decode(ARGV[1])
local refusal = gate(head.key_id, head.nonce, head.timestamp, head.backlog_limit)
if refusal then return { refusal } end

local record = 'linkrow:idempotency:' .. head.key_id .. ':' .. head.idempotency
if head.idempotency ~= '' then
  local known = call('GET', record)
  if known then
    local cut = string.find(known, '|', 1, true)
    if string.sub(known, 1, cut - 1) ~= head.fingerprint then return { 'reused' } end
    return { 'known', string.sub(known, cut + 1) }
  end
end

-- Look first, write after.
local STEP = 7
local plan, created, net = {}, 0, 0
local joining, seen_sources, seen_refreshes = {}, {}, {}
for i = 1, head.count do
  local at = 2 + (i - 1) * STEP
  local id = ARGV[at + 1]
  local job = head.jobs[i]
  if job.source ~= '' and not seen_sources[job.source] then
    seen_sources[job.source] = true
    local owner = call('GET', 'linkrow:source:' .. job.source)
    if owner and owner ~= head.account_id then return { 'unknown_source', job.source } end
  end
  if job.refresh ~= '' and not seen_refreshes[job.refresh] then
    seen_refreshes[job.refresh] = true
    local state = refresh_state(head.account_id, job.refresh)
    if REFRESH_IS_OVER[state] then return { 'refresh_over', job.refresh, state } end
  end
  if call('EXISTS', 'linkrow:done:' .. id, job_key(id)) > 0 then
    local _, ending = ended_as(id)
    plan[i] = { 'replayed', id, ending }
  else
    local live = job.source ~= '' and job.row ~= '' and
      call('HGET', 'linkrow:live:' .. job.source, job.row)
    local seen = live and call('HMGET', job_key(live), 'lr_same', 'lr_status')
    if seen and seen[2] and not FINAL[seen[2]] then
      if seen[1] == ARGV[at + 3] then
        joining[live] = (joining[live] or call('LLEN', 'linkrow:followers:' .. live)) + 1
        if joining[live] > head.max_followers then return { 'queue_full' } end
        plan[i] = { 'coalesced', live }
      else
        plan[i] = { 'superseding', id, live }
        created = created + 1
      end
    else
      plan[i] = { 'created', id }
      created = created + 1
      net = net + 1
    end
  end
end
local depth_key = 'linkrow:depth:' .. head.account_id
if net > 0 and head.max_depth >= 0 and
    tonumber(call('GET', depth_key) or '0') + net > head.max_depth then
  return { 'queue_full' }
end
local day = math.floor(NOW / 86400)
local quota_key = 'linkrow:quota:' .. head.account_id .. ':' .. day
if created > 0 and head.rows_per_day >= 0 and
    tonumber(call('GET', quota_key) or '0') + created > head.rows_per_day then
  return { 'quota', math.ceil((day + 1) * 86400 - NOW) }
end

local shared = cjson.decode(ARGV[2])
local now = stamp(NOW)
local answer, admitted, joined, per_queue, claimed = {}, {}, {}, {}, {}
for i = 1, head.count do
  local at = 2 + (i - 1) * STEP
  local job, step = head.jobs[i], plan[i]
  local disposition, id = step[1], step[2]
  local status = 'queued'
  if disposition == 'coalesced' then
    local own = call('HGET', job_key(id), 'lr_refresh_id')
    local known = false
    for name in string.gmatch(refreshes_of(id, own, 1), '[^,]+') do
      if name == job.refresh then known = true end
    end
    call('HINCRBY', job_key(id), 'lr_followers', 1)
    call('RPUSH', 'linkrow:followers:' .. id, job.refresh .. '\n' .. ARGV[at + 6])
    status = call('HGET', job_key(id), 'lr_status')
    if not known and job.refresh ~= '' then
      count(head.account_id, job.refresh, 'submitted', 1)
      joined[#joined + 1] = '["' .. id .. '","' .. job.refresh .. '"]'
    end
  elseif disposition == 'replayed' then
    status = step[3] or call('HGET', job_key(id), 'lr_status') or 'queued'
  else
    if disposition == 'superseding' then
      local old = call('HMGET', job_key(step[3]), 'origin', 'status')
      if old[2] == 'queued' then unlist(old[1], step[3]) end
      finalise(step[3], { status = 'canceled', conclusion = 'superseded', outcome = '',
        skip_reason = head.superseded_reason, lease = 'superseded', device = '', iso = head.iso,
        result = '', obligation = '' })
    end
    local queue = ARGV[at + 2]
    if job.source ~= '' and not claimed[job.source] then
      claimed[job.source] = true
      claim_source(job.source, head.account_id, head.device_id)
    end
    call('HSET', job_key(id), 'data', ARGV[at + 5], 'origin', queue, 'status', 'queued',
      'description', description_of(job.row),
      'lr_account_id', head.account_id, 'lr_source_id', job.source, 'lr_row_id', job.row,
      'lr_refresh_id', job.refresh, 'lr_kind', 'link', 'lr_same', ARGV[at + 3],
      'lr_status', 'queued', 'lr_created_at', now, unpack(shared))
    later('RPUSH', 'rq:queue:' .. queue, id)
    later('ZADD', 'linkrow:expires', NOW + tonumber(ARGV[at + 7]),
      expiry_of(head.account_id, id))
    if job.source ~= '' and job.row ~= '' then
      later('HSET', 'linkrow:live:' .. job.source, job.row, id)
    end
    count(head.account_id, job.refresh, 'submitted', 1)
    deepen(head.account_id, 1)
    admitted[#admitted + 1] = '{"job_id":"' .. id .. '","request":' .. ARGV[at + 4] .. '}'
    per_queue[queue] = (per_queue[queue] or 0) + 1
  end
  answer[#answer + 1] = '["' .. id .. '","' .. disposition .. '","' .. status .. '"]'
end
for queue, count in pairs(per_queue) do
  call('SADD', 'rq:queues', 'rq:queue:' .. queue)
  wake(queue, count)
end
if created > 0 then
  call('INCRBY', quota_key, created)
  call('EXPIRE', quota_key, 2 * 86400)
  call('XADD', 'linkrow:outcomes', '*', 'type', 'admitted', 'account_id', head.account_id,
    'key_id', head.key_id, 'device_id', head.device_id, 'timestamp', head.timestamp,
    'nonce', head.nonce, 'body_sha256', head.body_sha256, 'at', now,
    'jobs', '[' .. table.concat(admitted, ',') .. ']')
end
if #joined > 0 then
  call('XADD', 'linkrow:outcomes', '*', 'type', 'joined', 'account_id', head.account_id,
    'at', now, 'joins', '[' .. table.concat(joined, ',') .. ']')
end
local text = '[' .. table.concat(answer, ',') .. ']'
if head.idempotency ~= '' then
  call('SET', record, head.fingerprint .. '|' .. text, 'EX', head.idempotency_ttl)
end
return { 'ok', text }
