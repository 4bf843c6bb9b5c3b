-- Lists documents of a kind.
--
-- KEYS: the kind's list. ARGV: the tenant's prefix; the caller's time; the kind;
-- the key behind which to begin, or ''; 1 for descending; how many.
-- Returns whether there are more; keys that are in the list and have no document;
-- and then keys and values in turn.

local call, sub = redis.call, string.sub
local P, NOW, kind, after, down, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', tonumber(ARGV[6])
local step, list, absent = math.min(limit + 1, 100), { 0, {} }, 0
local left = limit
while true do
  local begin = after == '' and (down and '+' or '-') or '(' .. after
  local page
  if down then
    page = call('ZREVRANGEBYLEX', KEYS[1], begin, '-', 'LIMIT', 0, step)
  else
    page = call('ZRANGEBYLEX', KEYS[1], begin, '+', 'LIMIT', 0, step)
  end
  for _, key in ipairs(page) do
    local name = P .. 'd:' .. kind .. ':' .. key
    local head = call('GETRANGE', name, 0, 21)
    if head == '' then
      absent = absent + 1
      list[2][absent] = key
    elseif sub(head, 2, 22) > NOW then
      if left == 0 then
        list[1] = 1
        return list
      end
      left = left - 1
      list[#list + 1] = key
      list[#list + 1] = call('GET', name)
    end
    after = key
  end
  if #page < step then return list end
end
