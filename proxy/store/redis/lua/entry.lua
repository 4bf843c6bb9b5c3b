-- Finds an entry of a log.
--
-- KEYS: the log's head and its entries. ARGV: the caller's time; the key.
-- Returns its number and its stream entry, or nothing.

local head = redis.call('HMGET', KEYS[1], 'x', 'k' .. ARGV[2])
if not head[1] or head[1] <= ARGV[1] or not head[2] then return false end
local id = string.format('%.0f-0', head[2] + 1)
return redis.call('XRANGE', KEYS[2], id, id)
