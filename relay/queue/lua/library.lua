-- What every script begins with. Redis' clock is the only clock.
--
-- RQ's keys (read by rq info, rq-dashboard, Job.fetch)
--   rq:queues                     set    every queue's key
--   rq:queue:<q>                  list   ids of waiting jobs, next one first
--   rq:job:<id>                   hash   RQ's fields, and ours behind lr_
--   rq:wip:<q>                    zset   <id>:<lease> by our deadline + an hour: to RQ's unlocked
--                                        clean-up (which readers run) a lease of ours is alive
--   rq:execution:<id>:<lease>     hash   what RQ shows of a running job
--   rq:executions:<id>            zset
--   rq:scheduled:<q>              zset   ids that wait for another attempt, by time
--   rq:finished|failed|canceled:<q>  zset  ids that ended, by the time they are forgotten
--   rq:results:<id>               stream what RQ shows of the result
-- Ours
--   linkrow:epoch                 string second in which this store's life began; missing = lost
--   linkrow:life                  string which life that is; only its events are booked
--   linkrow:nonce:<key>:<nonce>   string spent
--   linkrow:idempotency:<key>:<h> string <fingerprint>|<answer>
--   linkrow:quota:<account>:<day> string jobs admitted that day (UTC)
--   linkrow:depth:<account>       string jobs that have not ended
--   linkrow:source:<source>       string account that owns it
--   linkrow:about:<source>        hash   its kind, name, max_age_seconds, paused, and when it was
--                                        made, seen and deleted, by which devices
--   linkrow:refreshing:<source>   string its newest refresh
--   linkrow:reading:<source>      string the refresh whose job has not ended
--   linkrow:live:<source>         hash   row id -> its live job
--   linkrow:followers:<id>        list   <refresh id>\n<JSON> of requests that joined the job
--   linkrow:leases:<q>            zset   <id>:<lease> by the real deadline
--   linkrow:held:<device>         set    <id>:<lease> a device holds
--   linkrow:expires               zset   <account>:<id> by when a waiting job is given up
--   linkrow:done:<id>             string <winning lease> <status>; outlives the job's hash
--   linkrow:obligation:<id>       hash   a row to be written, with its own copy of the result
--   linkrow:obligations:<source>  zset   ids by the deadline of whoever is to write them
--   linkrow:unserved              zset   ids of all obligations by their birth
--   linkrow:refresh:<account>:<r> hash   submitted, finished, conclusion:<c>, writeback:<w>; of one
--                                        that the relay was asked for also its state and terms
--   linkrow:refreshes             zset   <account>:<r> that are not over, by when to look at them
--   linkrow:cancelings            hash   <account>:<source>:<r> -> how far its rows are canceled
--   linkrow:outcomes              stream what happened, for the recorder
--   linkrow:wake:<place>          list   tokens that end a long poll
--   linkrow:final:<id>            channel a job ended
--   linkrow:over:<account>:<r>    channel a refresh is over
--   linkrow:lock:recorder         string whose turn it is to book (relay/recorder.py)
--   linkrow:lock:rebuild          string who fills a lost Redis (relay/clock.py)
-- Our fields of rq:job:<id>
--   lr_account_id lr_source_id lr_row_id lr_refresh_id lr_kind lr_same lr_created_at
--   lr_status lr_conclusion lr_outcome lr_skip_reason lr_checked_at lr_device_id
--   lr_lease_id lr_leased_at lr_deliveries lr_attempts lr_followers (their number, if any)
--   lr_writeback lr_writeback_detail
--   lr_of_refresh (of a job of kind refresh: which one; its rows have lr_refresh_id)

if redis.replicate_commands then redis.replicate_commands() end
local call = redis.call
local clock = call('TIME')
local NOW = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local GRACE = 3600
local REFRESH_TTL = 8 * 86400        -- longer than a row may wait to be written
local NOBODY = ''

local function stamp(seconds) return string.format('%.6f', seconds) end

local RQ_STATUS = {
  done = 'finished', invalid = 'finished', skipped = 'finished', expired = 'finished',
  failed = 'failed', canceled = 'canceled',
}
local FINAL = { done = true, failed = true, invalid = true, skipped = true, canceled = true,
                expired = true }

-- refreshing.lua says what these do; it comes between this file and a script's own part.
local refresh_taken, refresh_waits, refresh_ended, refresh_moved

local function job_key(id) return 'rq:job:' .. id end
-- With its account: when somebody deleted the job, nothing else says whose depth it counts in.
local function expiry_of(account, id) return account .. ':' .. id end

-- A full Redis refuses a script's first write if it takes memory, and no later one. What drains the
-- queue begins with this write, which takes none; only admissions are refused.
local function make_room() call('DEL', 'linkrow:nothing') end

local function ended_as(id)          -- the winning lease and the status, or nil
  local mark = call('GET', 'linkrow:done:' .. id)
  if mark then return string.match(mark, '^(%S+) (%S+)$') end
end

local function description_of(row)    -- what rq info and its logs show: never a link
  return row ~= '' and 'row ' .. row or 'link'
end

local function place_of(queue)       -- links.<place>[.premium][.profile-<name>]
  return string.match(queue, '^links%.([^.]+)')
end

local function wake(queue, count)
  local key = 'linkrow:wake:' .. place_of(queue)
  for _ = 1, math.min(count, 16) do call('RPUSH', key, '1') end
  call('LTRIM', key, -64, -1)
  call('EXPIRE', key, 60)
end

-- What many jobs of a batch write into the same key is gathered and written by settle(), one call
-- for all of them: most of a script's time goes into calls. Nothing in between may read it: so a
-- job's own state (its hash, its done-marker, its row's live job) is never put off.
local MOST_TOGETHER = 2000           -- Lua's unpack takes less than 8000
local put_off, slots = {}, {}

local spoilt                         -- the first fault of a write that was put off

local function write_off(gathered)   -- now, and whatever becomes of the others
  local answer = redis.pcall(unpack(gathered))
  if type(answer) == 'table' and answer.err then spoilt = spoilt or answer end
  for at = #gathered, 3, -1 do gathered[at] = nil end
end

local function later(command, key, first, second)
  local slot = command .. key
  local gathered = slots[slot]
  if not gathered then
    gathered = { command, key }
    slots[slot] = gathered
    put_off[#put_off + 1] = gathered
  end
  gathered[#gathered + 1] = first
  if second then gathered[#gathered + 1] = second end
  if #gathered > MOST_TOGETHER then write_off(gathered) end
end

local function write_all()
  for _, gathered in ipairs(put_off) do
    if #gathered > 2 then write_off(gathered) end
  end
end

local function drop_lease(queue, id, lease, device)
  local member = id .. ':' .. lease
  later('ZREM', 'linkrow:leases:' .. queue, member)
  later('ZREM', 'rq:wip:' .. queue, member)
  call('DEL', 'rq:execution:' .. member, 'rq:executions:' .. id)
  if device and device ~= NOBODY then later('SREM', 'linkrow:held:' .. device, member) end
end

-- Counters too are added up while a batch is walked.
local counted, depths = {}, {}

local function count(account, refreshes, field, by)
  for refresh in string.gmatch(refreshes or '', '[^,]+') do
    local key = 'linkrow:refresh:' .. account .. ':' .. refresh
    local fields = counted[key]
    if not fields then fields = {}; counted[key] = fields end
    fields[field] = (fields[field] or 0) + by
  end
end

local function deepen(account, by) depths[account] = (depths[account] or 0) + by end

local function settle()
  write_all()
  for key, fields in pairs(counted) do
    for field, by in pairs(fields) do
      if by ~= 0 then call('HINCRBY', key, field, by) end
    end
    call('EXPIRE', key, REFRESH_TTL)
    if fields.finished or fields['writeback:pending'] then refresh_moved(key) end
  end
  for account, by in pairs(depths) do
    local key = 'linkrow:depth:' .. account
    if by ~= 0 and call('INCRBY', key, by) < 0 then call('SET', key, 0) end
  end
end

-- Runs a script's own part. What it put off is written even when it stumbles over a key that a
-- stranger spoilt: what was done for the other jobs stays whole, and the fault is told.
local function conduct(act)
  local ok, answer = pcall(act)
  settle()
  if not ok then error(answer, 0) end
  return spoilt or answer
end

local function refreshes_of(id, own, followers)
  local names, seen = {}, {}
  local function add(name)
    if name and name ~= '' and not seen[name] then seen[name] = true; names[#names + 1] = name end
  end
  add(own)
  if followers == 0 then return own or '' end
  for _, follower in ipairs(call('LRANGE', 'linkrow:followers:' .. id, 0, -1)) do
    add(string.match(follower, '^([^\n]*)\n'))
  end
  return table.concat(names, ',')
end

local function facts_of(id)          -- what finalise() needs to know of a job
  return call('HMGET', job_key(id), 'origin', 'lr_account_id', 'lr_source_id', 'lr_row_id',
    'lr_refresh_id', 'lr_lease_id', 'lr_device_id', 'data', 'lr_attempts', 'lr_created_at',
    'lr_kind', 'status', 'lr_followers')
end

-- The one way a job ends. `ending` has: status, conclusion, outcome (JSON or ''), skip_reason,
-- lease (the winner), device, iso, result (what RQ shows, base64), obligation ('held', 'open', '').
-- `job` are its facts, where they are known. Answers the writeback that stands.
local function finalise(id, ending, job)
  local key = job_key(id)
  job = job or facts_of(id)
  local queue, account, source, row = job[1], job[2], job[3] or '', job[4] or ''
  local attempts = ending.attempts or job[9] or '0'
  if job[6] and job[6] ~= NOBODY then drop_lease(queue, id, job[6], job[7]) end
  later('ZREM', 'linkrow:expires', expiry_of(account, id))
  if job[12] == 'scheduled' then call('ZREM', 'rq:scheduled:' .. queue, id) end
  if source ~= '' and row ~= '' and call('HGET', 'linkrow:live:' .. source, row) == id then
    call('HDEL', 'linkrow:live:' .. source, row)
  end
  call('SET', 'linkrow:done:' .. id, ending.lease .. ' ' .. ending.status, 'EX', 86400)
  local obligation = ending.obligation
  if source == '' or row == '' then obligation = '' end
  local writeback = obligation ~= '' and 'pending' or 'none'
  local rq_status = RQ_STATUS[ending.status]
  call('HSET', key, 'status', rq_status, 'ended_at', ending.iso, 'worker_name', ending.device,
    'lr_status', ending.status, 'lr_conclusion', ending.conclusion, 'lr_outcome', ending.outcome,
    'lr_skip_reason', ending.skip_reason, 'lr_checked_at', stamp(NOW),
    'lr_device_id', ending.device, 'lr_lease_id', NOBODY, 'lr_writeback', writeback,
    'lr_attempts', attempts)
  later('ZADD', 'rq:' .. rq_status .. ':' .. queue, math.floor(NOW) + 86400, id)
  if rq_status ~= 'canceled' then    -- shown only: a job's ending does not fail by it
    local field = rq_status == 'failed' and 'exc_string' or 'return_value'
    redis.pcall('XADD', 'rq:results:' .. id, 'MAXLEN', 10, '*', 'type', rq_status == 'failed' and 2 or 1,
      'worker_name', ending.device, field, ending.result, 'execution_id', ending.lease,
      'execution_ended_at', stamp(NOW))
  end
  deepen(account, -1)
  local refreshes = refreshes_of(id, job[5], tonumber(job[13] or '0'))
  count(account, refreshes, 'finished', 1)
  count(account, refreshes, 'conclusion:' .. ending.conclusion, 1)
  count(account, refreshes, 'writeback:' .. writeback, 1)
  if obligation ~= '' then
    local deadline = obligation == 'held' and NOW + ending.obligation_seconds or NOW
    call('HSET', 'linkrow:obligation:' .. id, 'account_id', account, 'source_id', source,
      'data', job[8], 'kind', job[11] or 'link', 'status', ending.status,
      'conclusion', ending.conclusion,
      'outcome', ending.outcome, 'skip_reason', ending.skip_reason, 'attempts', attempts,
      'created_at', job[10], 'checked_at', stamp(NOW), 'result_device', ending.device,
      'holder', obligation == 'held' and ending.device or NOBODY, 'deliveries', 0,
      'refreshes', refreshes)
    later('ZADD', 'linkrow:obligations:' .. source, deadline, id)
    later('ZADD', 'linkrow:unserved', NOW, id)
    if obligation == 'open' then wake(queue, 1) end
  end
  if job[11] == 'refresh' then
    refresh_ended(id, account, source, ending)
  else
    call('XADD', 'linkrow:outcomes', '*', 'type', 'final', 'job_id', id, 'account_id', account,
      'at', stamp(NOW), 'status', ending.status, 'conclusion', ending.conclusion,
      'outcome', ending.outcome, 'skip_reason', ending.skip_reason, 'attempts', attempts,
      'device_id', ending.device, 'writeback', writeback)
  end
  call('PUBLISH', 'linkrow:final:' .. id, ending.status)
  return writeback
end

-- The row's word is in: the first one stays.
local function note_writeback(id, state, detail, device)
  local key = 'linkrow:obligation:' .. id
  local owed = call('HMGET', key, 'account_id', 'source_id', 'refreshes')
  if not owed[1] then return false end
  call('DEL', key)
  later('ZREM', 'linkrow:obligations:' .. owed[2], id)
  later('ZREM', 'linkrow:unserved', id)
  if call('EXISTS', job_key(id)) == 1 then
    call('HSET', job_key(id), 'lr_writeback', state, 'lr_writeback_detail', detail)
  end
  count(owed[1], owed[3], 'writeback:pending', -1)
  count(owed[1], owed[3], 'writeback:' .. state, 1)
  call('XADD', 'linkrow:outcomes', '*', 'type', 'writeback', 'job_id', id, 'account_id', owed[1],
    'at', stamp(NOW), 'writeback', state, 'detail', detail, 'device_id', device)
  return true
end

-- Into the queue (RPUSH) or to its front (LPUSH), whatever RQ has made of the job meanwhile.
local function enqueue(queue, id, push)
  call('HSET', job_key(id), 'status', 'queued', 'lr_status', 'queued', 'lr_lease_id', NOBODY)
  call('PERSIST', job_key(id))
  call('ZREM', 'rq:failed:' .. queue, id)
  call(push, 'rq:queue:' .. queue, id)
  call('SADD', 'rq:queues', 'rq:queue:' .. queue)
end

-- A lease was lost or given back: the job goes to the front, or ends after too many deliveries.
local function give_back(id, terms)
  local key = job_key(id)
  local job = call('HMGET', key, 'origin', 'lr_lease_id', 'lr_device_id', 'lr_deliveries', 'lr_kind')
  local is_refresh = job[5] == 'refresh'
  drop_lease(job[1], id, job[2], job[3])
  if tonumber(job[4] or '0') >= terms.max_deliveries then
    call('HSET', key, 'lr_lease_id', NOBODY)
    finalise(id, { status = 'failed', conclusion = 'agent_lost', outcome = terms.lost_outcome,
      skip_reason = is_refresh and terms.lost_refresh_reason or '', lease = 'lost',
      device = job[3] or '', iso = terms.iso, obligation = 'open',
      result = is_refresh and terms.lost_refresh_result or terms.lost_result })
    return
  end
  if is_refresh then refresh_waits(id) end
  enqueue(job[1], id, 'LPUSH')
  wake(job[1], 1)
end

-- Every lease of this queue whose deadline has passed.
local function sweep_leases(queue, terms, limit)
  local members = call('ZRANGEBYSCORE', 'linkrow:leases:' .. queue, '-inf', NOW, 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    local id, lease = string.match(member, '^([^:]+):(.+)$')
    local job = call('HMGET', job_key(id), 'lr_lease_id', 'lr_status', 'lr_device_id')
    if job[1] == lease and not FINAL[job[2]] then
      give_back(id, terms)
    else
      drop_lease(queue, id, lease, job[3])        -- superseded by a later lease, or deleted
    end
  end
  write_all()                        -- whoever looks at the leases next sees them gone
  return #members
end

local function promote_due(queue)
  for _, id in ipairs(call('ZRANGEBYSCORE', 'rq:scheduled:' .. queue, 0, NOW, 'LIMIT', 0, 500)) do
    call('ZREM', 'rq:scheduled:' .. queue, id)
    local job = call('HMGET', job_key(id), 'status', 'lr_status')
    if job[1] == 'scheduled' and job[2] and not FINAL[job[2]] then enqueue(queue, id, 'RPUSH') end
  end
end

-- Out of a waiting list. Where it is long the id stays, and LEASE passes over it.
local LONG = 20000
local function unlist(queue, id)
  if call('LLEN', 'rq:queue:' .. queue) <= LONG then call('LREM', 'rq:queue:' .. queue, 1, id) end
end

local function expire(id, terms)
  local job = call('HMGET', job_key(id), 'origin', 'lr_kind', 'lr_source_id')
  local queue, reason = job[1], terms.expired_reason
  if job[2] == 'refresh' then
    local seen = call('HMGET', 'linkrow:about:' .. job[3], 'seen_by', 'device_id')
    local device = seen[1] or seen[2] or ''
    device = device ~= '' and device or terms.no_device
    reason = string.format(terms.refresh_expired_reason, job[3], device)
  else
    local needs = string.match(queue, '^links%.[^.]+%.(.+)$')
    needs = needs and string.gsub(string.gsub(needs, '%.', ' with '), 'profile%-', 'profile ')
    reason = needs and string.format(terms.unable_reason, needs) or reason
  end
  call('ZREM', 'rq:failed:' .. queue, id)
  finalise(id, { status = 'expired', conclusion = 'job_expired', outcome = '', skip_reason = reason,
    lease = 'expired', device = '', iso = terms.iso, result = terms.expired_result,
    obligation = 'open' })
end

-- nil: go on. Otherwise why not. `backlog_limit` 0 = not asked.
local function gate(key_id, nonce, timestamp, backlog_limit)
  local epoch = call('GET', 'linkrow:epoch')
  if not epoch then return 'rebuilding' end
  if backlog_limit > 0 and call('XLEN', 'linkrow:outcomes') > backlog_limit then return 'backlog' end
  if timestamp < tonumber(epoch) then return 'stale' end
  local ttl = math.max(1, math.ceil(timestamp + 360 - NOW))
  if not call('SET', 'linkrow:nonce:' .. key_id .. ':' .. nonce, '1', 'NX', 'EX', ttl) then
    return 'replayed'
  end
  return nil
end
