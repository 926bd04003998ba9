-- After a lost Redis: refreshes stand where the books have them; a source that was not read to its
-- end is read again. ARGV: 1 the life that begins, 2 shared RQ fields (JSON list), then twelve per
-- refresh: id, account, source, job, state, data, scope, same, created_at, expires_at, ended_at,
-- what else its hash holds (JSON list of names and values).
-- Answers how many are not over; false if another life has begun or this one is open.
if (call('GET', 'linkrow:life') or '') ~= ARGV[1] or call('EXISTS', 'linkrow:epoch') == 1 then
  return false
end
local shared = cjson.decode(ARGV[2])
local restored = 0
for at = 2, #ARGV - 1, 12 do
  local refresh, account, source, id = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local member, state = account .. ':' .. refresh, ARGV[at + 5]
  local key, is_over = refresh_key(member), REFRESH_IS_OVER[state]
  if not is_over and state ~= 'running' then state = 'waiting_for_agent' end
  call('HSET', key, 'state', state, 'source', source, 'job', id, 'scope', ARGV[at + 7],
    'same', ARGV[at + 8], 'created_at', ARGV[at + 9], unpack(cjson.decode(ARGV[at + 12])))
  call('HSETNX', key, 'submitted', 0)
  call('HSETNX', key, 'finished', 0)
  call('EXPIRE', key, REFRESH_TTL)
  if is_over then
    call('HSET', key, 'ended_at', ARGV[at + 11])
    local _, submitted, finished = progress_of(key)
    if state == 'canceled' and finished < submitted then
      call('HSET', 'linkrow:cancelings', account .. ':' .. source .. ':' .. refresh, '0')
    end
  else
    restored = restored + 1
    call('SET', 'linkrow:refreshing:' .. source, refresh)
    call('ZADD', 'linkrow:refreshes', NOW + 60, member)
    if state == 'waiting_for_agent' and call('EXISTS', job_key(id)) == 0 then
      queue_refresh(refresh, account, source, id, ARGV[at + 6], ARGV[at + 9], ARGV[at + 10], shared)
    end
  end
end
return restored
