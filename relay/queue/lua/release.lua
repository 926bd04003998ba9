-- Give work back. ARGV: 1 terms (JSON: places = everything held there), then id and lease each.
local terms = cjson.decode(ARGV[1])
local released = 0
make_room()
local function release(id, lease)
  local job = call('HMGET', job_key(id), 'origin', 'lr_lease_id', 'lr_account_id', 'lr_device_id')
  if job[3] ~= terms.account_id or job[2] ~= lease or job[4] ~= terms.device_id then return end
  if call('ZSCORE', 'linkrow:leases:' .. job[1], id .. ':' .. lease) then
    give_back(id, terms)
    released = released + 1
  end
end
for at = 2, #ARGV, 2 do release(ARGV[at], ARGV[at + 1]) end
local places = {}
for _, place in ipairs(terms.places) do places[place] = true end
if #terms.places > 0 then
  for _, member in ipairs(call('SMEMBERS', 'linkrow:held:' .. terms.device_id)) do
    local id, lease = string.match(member, '^([^:]+):(.+)$')
    local queue = call('HGET', job_key(id), 'origin')
    if not queue then
      call('SREM', 'linkrow:held:' .. terms.device_id, member)
    elseif places[place_of(queue)] then
      release(id, lease)
      call('SREM', 'linkrow:held:' .. terms.device_id, member)
    end
  end
  -- Rows this device was to write, and has nothing on disk for: whoever asks next gets them.
  -- Only so many are looked at; the time of the others runs out by itself.
  local left = 10000
  for _, place in ipairs(terms.places) do
    local key = 'linkrow:obligations:' .. place
    local ids = left > 0 and call('ZRANGE', key, 0, left - 1) or {}
    left = left - #ids
    for _, id in ipairs(ids) do
      if call('HGET', 'linkrow:obligation:' .. id, 'holder') == terms.device_id then
        call('ZADD', key, NOW, id)
      end
    end
  end
end
return released
