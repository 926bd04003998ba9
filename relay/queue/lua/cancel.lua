-- End a job that has not ended. ARGV: account, id, iso, reason.
local job = call('HMGET', job_key(ARGV[2]), 'lr_account_id', 'lr_status', 'origin')
if job[1] ~= ARGV[1] then return 'missing' end
if FINAL[job[2]] then return 'final' end
make_room()
call('LREM', 'rq:queue:' .. job[3], 1, ARGV[2])
finalise(ARGV[2], { status = 'canceled', conclusion = 'canceled', outcome = '',
  skip_reason = ARGV[4], lease = 'canceled', device = '', iso = ARGV[3], result = '',
  obligation = '' })
return 'ok'
