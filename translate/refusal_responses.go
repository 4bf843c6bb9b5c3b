package translate

import "github.com/antiphon-proxy/antiphon/translate/jsonx"

// ResponsesRefusal is how a Responses backend refuses a request with status 200.
type ResponsesRefusal uint8

const (
	// NoRefusal is anything else.
	NoRefusal ResponsesRefusal = iota
	// RefusalInPlace is an error in place of a response: a whole reply, or an event
	// "error". There is no response that could be asked for by its id.
	RefusalInPlace
	// RefusalFailed is a response that has failed: a whole one, or the event
	// response.failed. The backend may keep it.
	RefusalFailed
)

// ReadResponsesRefusal looks whether body, a whole reply of a Responses backend or
// the data of an event, is a refusal. That nothing of an answer came before, and that
// a failed response has no output, is for the caller to know.
func ReadResponsesRefusal(body []byte) ResponsesRefusal {
	var d jsonx.Doc
	if d.Parse(body, upstreamLimits) != nil {
		return NoRefusal
	}
	response := d.Get(jsonx.Root, "response")
	if d.Kind(response) != jsonx.Object {
		response = jsonx.Root
	}
	switch {
	case d.Is(d.Get(response, "status"), "failed"), d.Is(d.Get(jsonx.Root, "type"), "response.failed"):
		return RefusalFailed
	case response != jsonx.Root, d.Is(d.Get(jsonx.Root, "object"), "response"), d.Present(d.Get(jsonx.Root, "output")):
		return NoRefusal
	case d.Is(d.Get(jsonx.Root, "type"), "error"), IsRefusal(body):
		return RefusalInPlace
	}
	return NoRefusal
}
