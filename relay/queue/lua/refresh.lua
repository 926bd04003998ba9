-- A request to read a source becomes a job, or joins the one that does it already.
-- ARGV: 1 head (JSON), 2 RQ fields (JSON list), 3 data (RQ's bytes), 4 order (JSON)
local head = cjson.decode(ARGV[1])
local refusal = gate(head.key_id, head.nonce, head.timestamp, head.backlog_limit)
if refusal then return { refusal } end

local record = 'linkrow:idempotency:' .. head.key_id .. ':' .. head.idempotency
local known = call('GET', record)
if known then
  local cut = string.find(known, '|', 1, true)
  if string.sub(known, 1, cut - 1) ~= head.fingerprint then return { 'reused' } end
  return { 'ok', string.sub(known, cut + 1), 'replayed' }
end

local source, account = head.source, head.account_id
local about = call('HMGET', 'linkrow:about:' .. source, 'deleted_at', 'paused')
if call('GET', 'linkrow:source:' .. source) ~= account or about[1] then
  return { 'unknown_source', source }
end
if about[2] == '1' then return { 'source_paused', source } end

-- Whether one runs is said by that refresh itself: nothing else could be left behind.
local function running_one()
  local newest = call('GET', 'linkrow:refreshing:' .. source)
  if not newest or not judge_refresh(account .. ':' .. newest) then return end
  local seen = call('HMGET', refresh_key(account .. ':' .. newest), 'scope', 'same')
  return newest, seen[1] == 'all' or seen[2] == head.same
end
local refresh, does_it = running_one()
if refresh and not does_it then return { 'refresh_running', refresh } end
local disposition = refresh and 'coalesced' or 'created'
if not refresh then
  refresh = head.refresh
  local member, id = account .. ':' .. refresh, head.job
  local now, expires_at = stamp(NOW), stamp(NOW + head.expires_in)
  queue_refresh(refresh, account, source, id, ARGV[3], now, expires_at, cjson.decode(ARGV[2]))
  call('HSET', refresh_key(member), 'state', 'waiting_for_agent', 'source', source, 'job', id,
    'scope', head.scope, 'same', head.same, 'created_at', now, 'submitted', 0, 'finished', 0)
  call('EXPIRE', refresh_key(member), REFRESH_TTL)
  call('SET', 'linkrow:refreshing:' .. source, refresh)
  call('ZADD', 'linkrow:refreshes', NOW + 60, member)
  call('XADD', 'linkrow:outcomes', '*', 'type', 'asked', 'refresh_id', refresh,
    'account_id', account, 'source_id', source, 'job_id', id, 'order', ARGV[4], 'at', now,
    'expires_at', expires_at, 'key_id', head.key_id,
    'device_id', head.device_id, 'timestamp', head.timestamp, 'nonce', head.nonce,
    'body_sha256', head.body_sha256)
end
call('SET', record, head.fingerprint .. '|' .. refresh, 'EX', head.idempotency_ttl)
return { 'ok', refresh, disposition }
