package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/redact"
	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Secrets do not leave: the operator's are taken out of whatever an upstream says of a
// failure before a client or the log gets it, and the credentials of tools are sealed
// where a request waits in the store, and taken out of recordings.
//
// What an upstream says in answers is not searched, because a model has never seen a
// key; replies that pass through as they are, are (hiddenPassing).

// redactor knows the operator's secrets and the client's own credential, which is for
// the client to see but not for the log.
func (x *exchange) redactor() *redact.Redactor {
	if x.header == nil {
		return x.server.redact
	}
	return x.server.redact.With(string(bearer(x.header.Peek("Authorization"))), string(x.header.Peek("Api-Key")), string(x.header.Peek("X-Api-Key")))
}

// forLog is a text as the log may have it: without secrets that are known, and without
// what looks like one.
func (x *exchange) forLog(text string) string {
	if text == "" {
		return ""
	}
	return redact.Tokens(x.redactor().Text(text))
}

// hideCredentials takes the credentials of tools out of a recording, wherever somebody
// has repeated one of them, and the server's own and the client's.
func (r *Recording) hideCredentials(x *exchange) {
	hide := x.redactor().With(translate.Credentials(r.Client)...)
	r.Client, _ = translate.WithoutCredentials(r.Client)
	r.Upstream, _ = translate.WithoutCredentials(r.Upstream)
	r.Reply = replyWithoutCredentials(r.Reply)
	r.Client, r.Upstream, r.Reply = hide.JSON(r.Client), hide.JSON(r.Upstream), hide.JSON(r.Reply)
	r.History = hide.JSON(r.History)
	for i := range r.References {
		r.References[i] = hide.JSON(r.References[i])
	}
}

// replyWithoutCredentials is an upstream's reply, or stream, without the credentials of
// tools that it repeats.
func replyWithoutCredentials(reply []byte) []byte {
	if !bytes.Contains(reply, []byte(`"tools"`)) {
		return reply
	}
	if shown, changed := translate.WithoutCredentials(reply); changed {
		return shown
	}
	var out []byte
	for line := range bytes.Lines(reply) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if shown, changed := translate.WithoutCredentials(bytes.TrimSpace(data)); changed {
				out = append(append(append(out, "data: "...), shown...), '\n')
				continue
			}
		}
		out = append(out, line...)
	}
	return out
}

// sealBody seals the body of a request that waits, in pieces that an envelope holds.
func (s *Server) sealBody(tenant string, body []byte) (sealed []byte, err error) {
	for len(body) > 0 {
		piece := body[:min(len(body), seal.MaxPlaintext)]
		body = body[len(piece):]
		if len(sealed) > 0 {
			sealed = append(sealed, '\n')
		}
		if sealed, err = s.sealer.Seal(sealed, tenant, seal.Credential, piece); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}

// openBody undoes sealBody.
func (s *Server) openBody(tenant string, sealed []byte) (body []byte, err error) {
	for piece := range bytes.SplitSeq(sealed, []byte{'\n'}) {
		if body, err = s.sealer.Open(body, tenant, seal.Credential, piece); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// hiddenPassing reads on in a reply that is passed on, and hides the operator's secrets
// in it, without changing its length. An error is read to its end first, so that no
// secret is in two pieces; one that is too long for that is hidden piece by piece, and
// so are other replies, which are not held up.
func (x *exchange) hiddenPassing() ([]byte, error) {
	s := x.server
	if x.owning != nil && x.up.Header.StatusCode() < fasthttp.StatusBadRequest {
		p, err := x.readOwned()
		s.redact.Mask(p)
		return p, err
	}
	if x.up.Header.StatusCode() < fasthttp.StatusBadRequest {
		p, err := x.readPassing()
		s.redact.Mask(p)
		return p, err
	}
	whole := x.parts[:0]
	for len(whole) < maxErrorBody {
		p, err := x.readPassing()
		whole = append(whole, p...)
		if err != nil {
			x.replyErr = err // for the next call
			break
		}
	}
	x.parts = whole
	if len(whole) == 0 {
		return nil, x.replyErr
	}
	s.redact.Mask(whole)
	x.noteWords(translate.UpstreamError(x.up.Header.StatusCode(), whole))
	return whole, nil
}

// addPassed gives the client a header of the upstream's, without secrets.
func (s *Server) addPassed(out *fasthttp.ResponseHeader, name, value []byte) {
	out.AddBytesKV(name, s.redact.JSON(value))
}
