-- Walks from a record to the root.
--
-- KEYS: the record. ARGV: the tenant's prefix; the caller's time; the record's
-- id; how many bytes of records may be returned at once.
--
-- Returns the id that is missing, or ''; the ids of the walk; and the values of
-- the first of them, as many as there is room for.

local call, sub = redis.call, string.sub
local P, NOW, id, room = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local ids, values, passed = {}, {}, {}
while not passed[id] do
  local key = P .. 'r:' .. id
  local value = room > 0 and call('GET', key) or call('GETRANGE', key, 0, 255)
  if not value or value == '' or sub(value, 2, 22) <= NOW then break end
  passed[id] = true
  ids[#ids + 1] = id
  if room > 0 then
    values[#values + 1] = value
    room = room - #value
  end
  local ends = 46 + struct.unpack('>I4', value, 43)
  if #value < ends then value = call('GETRANGE', key, 0, ends - 1) end
  id = sub(value, 47, ends)
  if id == '' then return { '', ids, values } end
end
return { id, ids }
