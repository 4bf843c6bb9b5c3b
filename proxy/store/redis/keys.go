package redis

// Names of keys. All keys of a tenant begin with the same hash tag, so that they
// are in one slot of a cluster and one script can change several of them:
//
//	PREFIX{t:TENANT}m            hash    the tenant's counter (c) and epoch (e)
//	PREFIX{t:TENANT}r:ID         string  a record: encode.go
//	PREFIX{t:TENANT}i:ITEM       zset    the records that hold an item, by number
//	PREFIX{t:TENANT}d:KIND:KEY   string  a document: encode.go
//	PREFIX{t:TENANT}k:KIND       zset    the keys of a kind, all with score 0
//	PREFIX{t:TENANT}e:KIND       zset    those that expire, by when the server frees them
//	PREFIX{t:TENANT}h:LOG        hash    a log's next number (n), end (x), and kKEY → number
//	PREFIX{t:TENANT}s:LOG        stream  its entries: number+1-0, fields b (body), k (key)
//	PREFIX{t:TENANT}o:WRITE      string  a write that was applied, for ten seconds

// tenantPrefix is what the names of all keys of a tenant begin with. Bytes that
// would end the hash tag, or be hard to read, are escaped.
func (s *Store) tenantPrefix(tenant string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s.prefix)+len(tenant)+8)
	b = append(append(b, s.prefix...), "{t:"...)
	for i := range len(tenant) {
		switch c := tenant[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '@':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(append(b, '}'))
}

func metaKey(p string) string             { return p + "m" }
func recordKey(p, id string) string       { return p + "r:" + id }
func itemKey(p, item string) string       { return p + "i:" + item }
func docKey(p, kind, key string) string   { return p + "d:" + kind + ":" + key }
func kindKey(p, kind string) string       { return p + "k:" + kind }
func endsKey(p, kind string) string       { return p + "e:" + kind }
func logKeys(p, log string) (h, s string) { return p + "h:" + log, p + "s:" + log }
func appliedKey(p, write string) string   { return p + "o:" + write }
