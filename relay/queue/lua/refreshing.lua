-- What scripts know of sources and refreshes. It comes before each script's own part.
--
-- A refresh is waiting_for_agent or reading while its job waits or runs, running once every row is
-- submitted, and over when no job of it is left to end and no row to be written.

local REFRESH_IS_OVER = { done = true, canceled = true, failed = true }
-- The jobs of a refresh end by themselves within a day: after longer stillness they are not there.
local LONGEST_STILLNESS = 25 * 3600

local function claim_source(source, account, device)      -- false: it is another account's
  local owner = call('GET', 'linkrow:source:' .. source)
  if owner then return owner == account end
  call('SET', 'linkrow:source:' .. source, account)
  call('HSET', 'linkrow:about:' .. source, 'created_at', stamp(NOW), 'device_id', device)
  call('XADD', 'linkrow:outcomes', '*', 'type', 'source', 'source_id', source,
    'account_id', account, 'at', stamp(NOW), 'device_id', device)
  return true
end

-- The books learn what is said of a source.
local function tell_of_source(source, account)
  local names = { 'kind', 'name', 'max_age_seconds', 'paused', 'device_id', 'deleted_at' }
  local said = call('HMGET', 'linkrow:about:' .. source, unpack(names))
  local event = { 'type', 'about', 'source_id', source, 'account_id', account, 'at', stamp(NOW) }
  for at, name in ipairs(names) do
    event[#event + 1] = name
    event[#event + 1] = said[at] or ''
  end
  call('XADD', 'linkrow:outcomes', '*', unpack(event))
end

local function refresh_key(member) return 'linkrow:refresh:' .. member end
local function refresh_state(account, refresh)
  return call('HGET', refresh_key(account .. ':' .. refresh), 'state')
end

-- The books learn how it stands.
local function tell_of_refresh(member)
  local said, counts, rows = call('HGETALL', refresh_key(member)), {}, {}
  for at = 1, #said, 2 do
    local name, value = said[at], said[at + 1]
    if name == 'submitted' or name == 'finished' or string.find(name, ':', 1, true) then
      if value ~= '0' then counts[name] = tonumber(value) end
    else
      rows[name] = value
    end
  end
  local account, refresh = string.match(member, '^([^:]+):(.+)$')
  call('XADD', 'linkrow:outcomes', '*', 'type', 'refresh', 'refresh_id', refresh,
    'account_id', account, 'at', stamp(NOW), 'job_id', rows.job or '', 'state', rows.state,
    'rows', rows.rows or '', 'not_submitted', rows.not_submitted or '{}',
    'error_code', rows.error_code or '', 'error_detail', rows.error_detail or '',
    'counts', rows.state == 'done' and next(counts) and cjson.encode(counts) or '{}')
end

local function end_refresh(member, state, code, detail)
  local key = refresh_key(member)
  call('HSET', key, 'state', state, 'ended_at', stamp(NOW), 'error_code', code,
    'error_detail', detail)
  call('EXPIRE', key, REFRESH_TTL)
  call('ZREM', 'linkrow:refreshes', member)
  if state == 'canceled' then
    local account, refresh = string.match(member, '^([^:]+):(.+)$')
    local source = call('HGET', key, 'source')
    call('HSET', 'linkrow:cancelings', account .. ':' .. source .. ':' .. refresh, '0')
  end
  tell_of_refresh(member)
  call('PUBLISH', 'linkrow:over:' .. member, state)
end

-- The job that reads a source: it waits before the jobs of its rows.
local function queue_refresh(refresh, account, source, id, data, now, expires_at, shared)
  local queue = 'links.' .. source .. '.refresh'
  call('HSET', job_key(id), 'data', data, 'origin', queue, 'status', 'queued',
    'description', 'refresh ' .. refresh, 'lr_account_id', account, 'lr_source_id', source,
    'lr_row_id', '', 'lr_refresh_id', '', 'lr_of_refresh', refresh, 'lr_kind', 'refresh',
    'lr_status', 'queued', 'lr_created_at', now, unpack(shared))
  call('RPUSH', 'rq:queue:' .. queue, id)
  call('SADD', 'rq:queues', 'rq:queue:' .. queue)
  call('ZADD', 'linkrow:expires', expires_at, expiry_of(account, id))
  call('SET', 'linkrow:reading:' .. source, refresh)
  deepen(account, 1)
  wake(queue, 1)
end

local function of_job(id)            -- <account>:<refresh>
  local job = call('HMGET', job_key(id), 'lr_account_id', 'lr_of_refresh')
  return job[1] .. ':' .. job[2], job[2]
end

local function note_state(id, state)
  local key = refresh_key(of_job(id))
  local known = call('HGET', key, 'state')
  if known and not REFRESH_IS_OVER[known] then call('HSET', key, 'state', state) end
end

function refresh_taken(id) note_state(id, 'reading') end

function refresh_waits(id) note_state(id, 'waiting_for_agent') end

-- Its job ended: every row was read, or it was to no avail.
function refresh_ended(id, account, source, ending)
  local member, refresh = of_job(id)
  if call('GET', 'linkrow:reading:' .. source) == refresh then
    call('DEL', 'linkrow:reading:' .. source)
  end
  local known = refresh_state(account, refresh)
  if not known or REFRESH_IS_OVER[known] then return end
  if ending.status == 'done' then
    call('HSET', refresh_key(member), 'state', 'running')
    call('ZADD', 'linkrow:refreshes', NOW + 60, member)
    tell_of_refresh(member)
    count(account, refresh, 'finished', 0)         -- perhaps there was nothing to submit
  elseif ending.status == 'canceled' then
    end_refresh(member, 'canceled', '', '')
  else
    end_refresh(member, 'failed', ending.conclusion, ending.skip_reason)
  end
end

local function progress_of(key)      -- state, submitted, finished, rows still to be written
  local seen = call('HMGET', key, 'state', 'submitted', 'finished', 'writeback:pending')
  return seen[1], tonumber(seen[2] or '0'), tonumber(seen[3] or '0'), tonumber(seen[4] or '0')
end

-- Its counters moved: perhaps it is over now. A run that no relay was asked for has no state.
function refresh_moved(key)
  local state, submitted, finished, pending = progress_of(key)
  if finished < submitted or pending > 0 then return end
  local member = string.sub(key, #'linkrow:refresh:' + 1)
  if state == 'running' then
    end_refresh(member, 'done', '', '')
  elseif not state then
    call('PUBLISH', 'linkrow:over:' .. member, 'done')
  end
end

-- Whether it goes on. One whose job or whose rows' jobs a stranger deleted does not.
local function judge_refresh(member)
  local key = refresh_key(member)
  local state, submitted, finished, pending = progress_of(key)
  if not state or REFRESH_IS_OVER[state] then
    call('ZREM', 'linkrow:refreshes', member)
    return false
  end
  if state == 'running' then
    if finished >= submitted then
      if pending <= 0 then end_refresh(member, 'done', '', '') end
      return pending > 0
    end
    local stillness = REFRESH_TTL - call('TTL', key)
    if stillness <= LONGEST_STILLNESS then return true end
    end_refresh(member, 'failed', 'jobs_missing',
      (submitted - finished) .. ' of its jobs were deleted from the queue by hand')
    return false
  end
  local job = call('HMGET', key, 'job', 'source')
  if call('EXISTS', job_key(job[1])) == 1 then return true end
  call('DEL', 'linkrow:reading:' .. job[2])
  end_refresh(member, 'canceled', '', '')
  return false
end

-- Stop a refresh. Its rows' jobs are canceled by cancel_rows, some at a time.
local function cancel_refresh(member, iso, reason)
  local seen = call('HMGET', refresh_key(member), 'state', 'job', 'source')
  local job = call('HMGET', job_key(seen[2]), 'lr_status', 'origin')
  if seen[1] ~= 'running' and job[1] and not FINAL[job[1]] then
    call('LREM', 'rq:queue:' .. job[2], 1, seen[2])
    finalise(seen[2], { status = 'canceled', conclusion = 'canceled', outcome = '',
      skip_reason = reason, lease = 'canceled', device = '', iso = iso, result = '',
      obligation = '' })
  else
    end_refresh(member, 'canceled', '', '')
  end
end
