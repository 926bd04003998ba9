-- What became of rows. ARGV: account, device, then id, state, detail each.
-- Answers the state that stands; '' where nothing is known any more.
local out = {}
make_room()
for at = 3, #ARGV, 3 do
  local id = ARGV[at]
  local owner = call('HGET', 'linkrow:obligation:' .. id, 'account_id')
  if owner == ARGV[1] then
    note_writeback(id, ARGV[at + 1], ARGV[at + 2], ARGV[2])
    out[#out + 1] = ARGV[at + 1]
  else
    local job = call('HMGET', job_key(id), 'lr_account_id', 'lr_writeback')
    out[#out + 1] = job[1] == ARGV[1] and job[2] or ''
  end
end
return out
