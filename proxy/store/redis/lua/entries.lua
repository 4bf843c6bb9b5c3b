-- Lists a log.
--
-- KEYS: the log's head and its entries. ARGV: the caller's time; the first id of
-- the stream, or '' for its end; 1 for descending; how many.
-- Returns stream entries.

local expires = redis.call('HGET', KEYS[1], 'x')
if not expires or expires <= ARGV[1] then return {} end
if ARGV[3] == '1' then
  return redis.call('XREVRANGE', KEYS[2], ARGV[2] == '' and '+' or ARGV[2], '-', 'COUNT', ARGV[4])
end
return redis.call('XRANGE', KEYS[2], ARGV[2] == '' and '-' or ARGV[2], '+', 'COUNT', ARGV[4])
