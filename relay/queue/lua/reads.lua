-- How far agents are with reading sources. ARGV: 1 terms (JSON), then eight per report:
--   id, lease, state, rows ('' = not said), not_submitted (JSON), error code, error detail, result
local terms = cjson.decode(ARGV[1])
local out = {}
make_room()
for at = 1, #ARGV - 1, 8 do
  local id, lease, state = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local job = facts_of(id)
  if job[2] == terms.account_id and job[6] == lease and job[11] == 'refresh' then
    local key = refresh_key(of_job(id))
    if call('HEXISTS', key, 'state') == 1 then
      call('HSET', key, 'not_submitted', ARGV[at + 5], 'error_code', ARGV[at + 6],
        'error_detail', ARGV[at + 7])
      if ARGV[at + 4] ~= '' then call('HSET', key, 'rows', ARGV[at + 4]) end
      call('EXPIRE', key, REFRESH_TTL)
    end
    if state ~= 'reading' then
      finalise(id, { status = state == 'read' and 'done' or 'failed', conclusion = ARGV[at + 6],
        outcome = '', skip_reason = ARGV[at + 7], lease = lease, device = terms.device_id,
        iso = terms.iso, result = ARGV[at + 8], obligation = '' }, job)
    end
    out[#out + 1] = 'accepted'
  else
    local winner, status = ended_as(id)
    if winner == lease then
      out[#out + 1] = 'duplicate'
    else
      out[#out + 1] = job[2] == terms.account_id and status == 'canceled' and status or 'stale'
    end
  end
end
return out
