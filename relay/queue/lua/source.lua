-- Make, change or delete a source. ARGV: 1 head (JSON: key, nonce, account, what to do, and what is
-- said of it), then names and values of what is said anew.
local head = cjson.decode(ARGV[1])
if head.act == 'delete' then make_room() end
local refusal = gate(head.key_id, head.nonce, head.timestamp, head.backlog_limit)
if refusal then return { refusal } end
local source, account = head.source, head.account_id

local record = 'linkrow:idempotency:' .. head.key_id .. ':' .. head.idempotency
if head.idempotency ~= '' then
  local known = call('GET', record)
  if known then
    local cut = string.find(known, '|', 1, true)
    if string.sub(known, 1, cut - 1) ~= head.fingerprint then return { 'reused' } end
    return { 'ok', string.sub(known, cut + 1), 'replayed' }
  end
end

local key = 'linkrow:about:' .. source
local owner = call('GET', 'linkrow:source:' .. source)
local is_there = owner == account and not call('HGET', key, 'deleted_at')
if owner and owner ~= account or head.act ~= 'make' and not is_there then
  return { 'unknown_source', source }
end
if head.act == 'delete' then
  call('HSET', key, 'deleted_at', stamp(NOW))
  local newest = call('GET', 'linkrow:refreshing:' .. source)
  if newest and judge_refresh(account .. ':' .. newest) then
    cancel_refresh(account .. ':' .. newest, head.iso, head.reason)
  end
else
  claim_source(source, account, head.device_id)
  call('HDEL', key, 'deleted_at')
  for at = 2, #ARGV, 2 do call('HSET', key, ARGV[at], ARGV[at + 1]) end
end
tell_of_source(source, account)
if head.idempotency ~= '' then
  call('SET', record, head.fingerprint .. '|' .. source, 'EX', head.idempotency_ttl)
end
return { 'ok', source, is_there and 'known' or 'created' }
