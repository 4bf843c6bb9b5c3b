package proxy

import "time"

// The time to the first token is what people wait for: the first text, reasoning or
// call, not response.created, a role or a keep-alive. It is counted of streams only,
// both as the upstream sends it and as the client gets it: an answer that is checked
// before it goes out has two.

// noteToken notes that the upstream has said something of the answer.
func (x *exchange) noteToken() {
	if x.tokenIn != 0 || x.sink == nil || !x.sink.live() {
		return
	}
	x.tokenIn = time.Since(x.start)
	x.server.metrics.UpstreamToken(x.tokenIn)
}

// tokenGoes notes that what there is of the answer goes to the client at that time.
func (x *exchange) tokenGoes(now time.Time) {
	if x.tokenIn == 0 || x.tokenOut != 0 {
		return
	}
	x.tokenOut = now.Sub(x.start)
	x.server.metrics.FirstToken(x.tokenOut)
}
