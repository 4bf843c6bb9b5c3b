// Package upstream talks HTTP/1.1 to one backend: it sends a request, waits for
// the head of the reply and hands out the body as it comes.
//
// Where is …?
//
//	one exchange, phase by phase     exchange.go   Do, Read, Close, Cancel
//	the framing of a reply's body    body.go       Content-Length, chunked, until close
//	replies that come encoded        encoding.go   gzip, deflate, zstd
//	the read buffer of a connection  reader.go
//	connections that are kept        pool.go
//	options, one client per upstream client.go
//	connecting, TLS                  dial.go
//	is a kept connection still good? alive_linux.go, alive_other.go
//	may it be sent again?            exchange.go   Do; alive_linux.go unread
//	for how long is one used?        idle_limit.go
//
// What fasthttp's client lacks for this job, and why there is one of our own: a
// request can be cancelled in every phase from any goroutine; each phase has its
// own deadline, so that a stream is cut when it is silent and not when it is
// long; the body is handed out without copying, as much as has arrived at a
// time; a connection that the server has closed meanwhile is noticed before a
// request is spent on it; and a request is sent twice only when it is certain
// that the server has not read the first one.
package upstream
