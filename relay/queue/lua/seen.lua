-- An agent says that it serves these. ARGV: account, device, then sources.
make_room()
local seen = {}
for at = 3, #ARGV do
  local source = ARGV[at]
  if call('GET', 'linkrow:source:' .. source) == ARGV[1] then
    call('HSET', 'linkrow:about:' .. source, 'last_seen_at', stamp(NOW),
      'seen_by', ARGV[2])
    call('HDEL', 'linkrow:about:' .. source, 'deleted_at')
    seen[#seen + 1] = '"' .. source .. '"'
  end
end
if #seen > 0 then
  call('XADD', 'linkrow:outcomes', '*', 'type', 'seen', 'account_id', ARGV[1], 'at', stamp(NOW),
    'sources', '[' .. table.concat(seen, ',') .. ']')
end
return #seen
