-- After a lost Redis: jobs that had not ended wait again. ARGV: 1 the life that begins, 2 shared RQ
-- fields (JSON list), then eleven per job: id, queue, same, data, account, source, row, refresh,
-- created_at, expires_at, refreshes that joined it (a,b).
-- Answers how many; false if another life has begun or this one is open.
if (call('GET', 'linkrow:life') or '') ~= ARGV[1] or call('EXISTS', 'linkrow:epoch') == 1 then
  return false
end
local shared = cjson.decode(ARGV[2])
local restored = 0
for at = 2, #ARGV - 1, 11 do
  local id, queue = ARGV[at + 1], ARGV[at + 2]
  local account, source, row = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  if call('EXISTS', job_key(id), 'linkrow:done:' .. id) == 0 then
    call('HSET', job_key(id), 'data', ARGV[at + 4], 'origin', queue, 'status', 'queued',
      'description', description_of(row),
      'lr_account_id', account, 'lr_source_id', source, 'lr_row_id', row,
      'lr_refresh_id', ARGV[at + 8], 'lr_kind', 'link', 'lr_same', ARGV[at + 3],
      'lr_status', 'queued', 'lr_created_at', ARGV[at + 9], unpack(shared))
    call('RPUSH', 'rq:queue:' .. queue, id)
    call('SADD', 'rq:queues', 'rq:queue:' .. queue)
    call('ZADD', 'linkrow:expires', ARGV[at + 10], expiry_of(account, id))
    if source ~= '' and row ~= '' then call('HSET', 'linkrow:live:' .. source, row, id) end
    for refresh in string.gmatch(ARGV[at + 11], '[^,]+') do
      call('RPUSH', 'linkrow:followers:' .. id, refresh .. '\n{}')
      call('HINCRBY', job_key(id), 'lr_followers', 1)
    end
    call('INCR', 'linkrow:depth:' .. account)
    wake(queue, 1)
    restored = restored + 1
  end
end
return restored
