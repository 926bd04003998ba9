-- Results. ARGV: 1 terms (JSON), then seven per result:
--   id, lease, status, conclusion, outcome (JSON), result (for RQ), delays ("" or "2.1,10.4")
-- Answers per result: state, and for an ended job attempts, created_at, checked_at, writeback.
local terms = cjson.decode(ARGV[1])
local now = stamp(NOW)
local out = {}
make_room()

-- A job's facts, for the lease that holds it; the lease is named in the job until it is over.
local function held_by(id, lease)
  local job = facts_of(id)
  if job[2] == terms.account_id and job[6] == lease then return job end
end

local function ended_before(id, lease)
  if ended_as(id) ~= lease then return { 'stale' } end
  local job = call('HMGET', job_key(id), 'lr_account_id', 'lr_attempts', 'lr_created_at',
    'lr_checked_at', 'lr_writeback')
  if not job[1] then                 -- its hash is gone, and a row may still be owed
    job = call('HMGET', 'linkrow:obligation:' .. id, 'account_id', 'attempts', 'created_at',
      'checked_at')
    job[5] = job[1] and 'pending'
  end
  -- The marker does not say whose the job is.
  if job[1] ~= terms.account_id then return { 'duplicate' } end
  return { 'duplicate', job[2], job[3], job[4], job[5] }
end

for at = 1, #ARGV - 1, 7 do
  local id, lease = ARGV[at + 1], ARGV[at + 2]
  local job = held_by(id, lease)
  if not job then
    out[#out + 1] = ended_before(id, lease)
  else
    local attempt = tonumber(job[9] or '0') + 1
    local index, again = 0, nil
    for delay in string.gmatch(ARGV[at + 7], '[^,]+') do
      index = index + 1
      if index == attempt then again = tonumber(delay) end
    end
    if again then
      drop_lease(job[1], id, lease, job[7])
      call('HSET', job_key(id), 'status', 'scheduled', 'lr_status', 'queued',
        'lr_lease_id', NOBODY, 'lr_attempts', attempt)
      later('ZADD', 'rq:scheduled:' .. job[1], NOW + again, id)
      out[#out + 1] = { 'retry' }
    else
      local writeback = finalise(id, { status = ARGV[at + 3], conclusion = ARGV[at + 4],
        outcome = ARGV[at + 5], skip_reason = '', lease = lease, device = terms.device_id,
        iso = terms.iso, result = ARGV[at + 6], obligation = 'held',
        obligation_seconds = terms.obligation_seconds, attempts = attempt }, job)
      out[#out + 1] = { 'accepted', attempt, job[10], now, writeback }
    end
  end
end
return out
