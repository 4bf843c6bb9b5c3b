-- Finds the record that holds an item: of those that are there, the one that was
-- put last.
--
-- KEYS: the item's list. ARGV: the tenant's prefix; the caller's time.
-- Returns the record's id and value, or nothing.

local call, sub = redis.call, string.sub
local P, NOW, from = ARGV[1], ARGV[2], 0
while true do
  local page = call('ZREVRANGE', KEYS[1], from, from + 15, 'WITHSCORES')
  for i = 1, #page, 2 do
    local key = P .. 'r:' .. page[i]
    local head = call('GETRANGE', key, 0, 37)
    -- A record that the server has freed leaves its name in the list, and may
    -- have come again with other items: then it has another number.
    if head ~= '' and sub(head, 2, 22) > NOW and tonumber(sub(head, 23, 38)) == tonumber(page[i + 1]) then
      return { page[i], call('GET', key) }
    end
  end
  if #page < 32 then return false end
  from = from + 16
end
