-- Every write is one run of this script: all that it checks and all that it
-- changes is one step of the server. First every operation is checked, and
-- nothing is written; then every operation is applied, and nothing can fail.
--
-- KEYS: all keys whose names the caller knows, so that a cluster routes and
--       guards them. They are of one tenant, hence of one slot.
-- ARGV: the tenant's prefix; the caller's time; the name of this write; then the
--       operations, each a letter and its arguments (commit.go makes them):
--   q kind key version                        a condition on a document
--   w kind key version expires ttl body       writes a document
--   d kind key version                        deletes a document
--   r id expires ttl tail                     adds a record
--   k id                                      deletes a record
--   x log                                     drops a log
--   m log key                                 removes an entry
--   a log expires ttl count (key body)*       appends entries
--
-- A version is 16 digits, 0 for no document, or * for any. Times are 21 digits,
-- so that their order is that of strings. A ttl is in milliseconds, 0 for ever.
--
-- Returns conflict, exists or missing; or ok and the versions that the documents
-- have got, all in one.

local call, sub, format = redis.call, string.sub, string.format
local P, NOW = ARGV[1], ARGV[2]
local meta, done = P .. 'm', P .. 'o:' .. ARGV[3]

-- A write is sent again when its connection breaks before the reply: it may have
-- been applied.
local before = call('GET', done)
if before then return before end

-- The first bytes of a record or a document are those of encode.go: its format,
-- when it expires, its number.
local function fixed(key, bytes)
  local head = call('GETRANGE', key, 0, bytes - 1)
  return head, head ~= '' and sub(head, 2, 22) > NOW
end

local function holds(kind, key, want)
  if want == '*' then return true end
  local head, live = fixed(P .. 'd:' .. kind .. ':' .. key, 38)
  if not live then return want == '0' end
  return sub(head, 23, 38) == want
end

-- What the script knows of a log, by name.
local logs = {}
local function log(name)
  local l = logs[name]
  if not l then
    local head = call('HMGET', P .. 'h:' .. name, 'n', 'x')
    l = { head = P .. 'h:' .. name, entries = P .. 's:' .. name, next = 0, removed = {} }
    l.there = head[1] ~= false
    l.live = l.there and head[2] > NOW
    if l.live then l.next = tonumber(head[1]) end
    logs[name] = l
  end
  return l
end

-- 1. Check.

local i, n = 4, #ARGV
while i <= n do
  local op = ARGV[i]
  if op == 'q' or op == 'd' then
    if not holds(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) then return 'conflict' end
    i = i + 4
  elseif op == 'w' then
    if not holds(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) then return 'conflict' end
    i = i + 7
  elseif op == 'r' then
    local _, live = fixed(P .. 'r:' .. ARGV[i + 1], 22)
    if live then return 'exists' end
    i = i + 5
  elseif op == 'k' then
    local _, live = fixed(P .. 'r:' .. ARGV[i + 1], 22)
    if not live then return 'missing' end
    i = i + 2
  elseif op == 'x' then
    log(ARGV[i + 1]).dropped = true
    i = i + 2
  elseif op == 'm' then
    local l, key = log(ARGV[i + 1]), ARGV[i + 2]
    local seq = l.live and call('HGET', l.head, 'k' .. key)
    if not seq then return 'missing' end
    l.removed[key] = seq
    i = i + 3
  elseif op == 'a' then
    local l, count, own = log(ARGV[i + 1]), tonumber(ARGV[i + 4]), {}
    for j = i + 5, i + 3 + 2 * count, 2 do
      local key = ARGV[j]
      if key ~= '' then
        if own[key] then return 'exists' end
        own[key] = true
        if l.live and not l.dropped and not l.removed[key]
          and call('HEXISTS', l.head, 'k' .. key) == 1 then return 'exists' end
      end
    end
    i = i + 5 + 2 * count
  else
    error('operation ' .. op)
  end
end

-- 2. Apply. The server refuses a script for want of memory at its first write or
-- not at all, so what is not refused here is not refused half-way.

local time = call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- Numbers of records and documents come from one counter of the tenant, which
-- keeps up with the clock: one that was lost with a failover, or has expired,
-- does not come back to numbers that it has given.
local last, fresh, lifetime, epoch
local function number(ttl)
  if not last then
    local c = call('HGET', meta, 'c')
    fresh = not c
    last = math.max(tonumber(c or 0), clock)
    lifetime = ttl
  end
  if ttl == 0 or lifetime == 0 then
    lifetime = 0
  else
    lifetime = math.max(lifetime, ttl)
  end
  last = last + 1
  return format('%016.0f', last)
end

-- keep has a key live for at least ttl from now. new says that it has just come
-- to be, and spare how much longer than needed it may live.
local function keep(key, ttl, new, spare)
  if ttl == 0 then
    if not new then call('PERSIST', key) end
    return
  end
  local left = call('PTTL', key)
  if new or (left >= 0 and left < ttl) then call('PEXPIRE', key, format('%.0f', ttl + spare)) end
end

local function set(key, value, ttl)
  if ttl == 0 then call('SET', key, value) else call('SET', key, value, 'PX', format('%.0f', ttl)) end
end

local function index(key, score, member, ttl)
  local new = call('EXISTS', key) == 0
  call('ZADD', key, score, member)
  keep(key, ttl, new, 0)
end

-- forget takes a record out of the lists of its items.
local function forget(id)
  local key = P .. 'r:' .. id
  local head = call('GETRANGE', key, 0, 41)
  if head == '' then return end
  local tail = call('GETRANGE', key, 42, 41 + struct.unpack('>I4', head, 39))
  local at = 5 + struct.unpack('>I4', tail, 1)
  local items = struct.unpack('>I4', tail, at)
  at = at + 4
  for _ = 1, items do
    local length = struct.unpack('>I4', tail, at)
    call('ZREM', P .. 'i:' .. sub(tail, at + 4, at + 3 + length), id)
    at = at + 4 + length
  end
end

local function deleteDoc(kind, key)
  if call('DEL', P .. 'd:' .. kind .. ':' .. key) == 1 then
    call('ZREM', P .. 'k:' .. kind, key)
    call('ZREM', P .. 'e:' .. kind, key)
  end
end

-- prune takes names out of a kind's list whose documents the server has freed.
local function prune(kind)
  local ends = P .. 'e:' .. kind
  local gone = call('ZRANGEBYSCORE', ends, '-inf', '(' .. time[1] .. '000', 'LIMIT', 0, 16)
  if #gone > 0 then
    call('ZREM', P .. 'k:' .. kind, unpack(gone))
    call('ZREM', ends, unpack(gone))
  end
end

local result = { 'ok' }
i = 4
while i <= n do
  local op = ARGV[i]
  if op == 'q' then
    i = i + 4
  elseif op == 'w' then
    local kind, key, expires, ttl = ARGV[i + 1], ARGV[i + 2], ARGV[i + 4], tonumber(ARGV[i + 5])
    local version = number(ttl)
    result[#result + 1] = version
    if expires > NOW then
      set(P .. 'd:' .. kind .. ':' .. key, '1' .. expires .. version .. ARGV[i + 6], ttl)
      index(P .. 'k:' .. kind, 0, key, ttl)
      if ttl > 0 then
        index(P .. 'e:' .. kind, format('%.0f', math.floor(clock / 1000) + ttl), key, ttl)
        prune(kind)
      else
        call('ZREM', P .. 'e:' .. kind, key)
      end
    else
      deleteDoc(kind, key)
    end
    i = i + 7
  elseif op == 'd' then
    deleteDoc(ARGV[i + 1], ARGV[i + 2])
    i = i + 4
  elseif op == 'r' then
    local id, expires, ttl, tail = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4]
    if expires > NOW then
      local seq = number(ttl)
      forget(id) -- one that has expired
      set(P .. 'r:' .. id, '1' .. expires .. seq .. tail, ttl)
      local at = 9 + struct.unpack('>I4', tail, 5)
      local items = struct.unpack('>I4', tail, at)
      at = at + 4
      for _ = 1, items do
        local length = struct.unpack('>I4', tail, at)
        index(P .. 'i:' .. sub(tail, at + 4, at + 3 + length), seq, id, ttl)
        at = at + 4 + length
      end
    end
    i = i + 5
  elseif op == 'k' then
    forget(ARGV[i + 1])
    call('DEL', P .. 'r:' .. ARGV[i + 1])
    -- Out of sight before the epoch changes, which is in the same step.
    epoch = number(1)
    i = i + 2
  elseif op == 'x' then
    local l = log(ARGV[i + 1])
    call('DEL', l.head, l.entries)
    l.there, l.live, l.next = false, false, 0
    i = i + 2
  elseif op == 'm' then
    local l, key = log(ARGV[i + 1]), ARGV[i + 2]
    call('HDEL', l.head, 'k' .. key)
    call('XDEL', l.entries, format('%.0f-0', l.removed[key] + 1))
    i = i + 3
  elseif op == 'a' then
    local l, expires, ttl, count = log(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    if expires <= NOW or (l.there and not l.live) then
      call('DEL', l.head, l.entries)
      l.there, l.live, l.next = false, false, 0
    end
    if expires > NOW and (count > 0 or l.live) then
      for j = i + 5, i + 3 + 2 * count, 2 do
        local key, id = ARGV[j], format('%.0f-0', l.next + 1)
        if key == '' then
          call('XADD', l.entries, id, 'b', ARGV[j + 1])
        else
          call('XADD', l.entries, id, 'b', ARGV[j + 1], 'k', key)
          call('HSET', l.head, 'k' .. key, format('%.0f', l.next))
        end
        l.next = l.next + 1
      end
      call('HSET', l.head, 'n', format('%.0f', l.next), 'x', expires)
      for _, key in ipairs({ l.head, l.entries }) do
        if ttl == 0 then
          call('PERSIST', key)
        else
          call('PEXPIRE', key, format('%.0f', ttl))
        end
      end
      l.there, l.live = true, true
    end
    i = i + 5 + 2 * count
  end
end

if last then
  call('HSET', meta, 'c', format('%.0f', last))
  if epoch then call('HSET', meta, 'e', epoch) end
  keep(meta, lifetime, fresh, 86400000)
end
result = table.concat(result)
call('SET', done, result, 'PX', 10000)
return result
