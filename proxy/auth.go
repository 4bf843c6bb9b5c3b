package proxy

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate"
)

// anonymous is the tenant of requests without any credential.
const anonymous = "anonymous"

// authenticate finds out whose request it is. With a file of keys, that is the
// principal of the client's key. Without one, each credential is a tenant of its
// own, known by a keyed hash: the credential itself is kept nowhere.
func (s *Server) authenticate(x *exchange) *translate.Error {
	credential := bearer(x.header.Peek("Authorization"))
	if len(credential) == 0 {
		credential = x.header.Peek("Api-Key") // Azure's clients
	}
	if keys := s.keys.Load(); keys != nil {
		if len(credential) == 0 {
			x.reply.Set("WWW-Authenticate", "Bearer")
			return authError("You didn't provide an API key. Send it in an Authorization header as a bearer token: "+
				"Authorization: Bearer YOUR_KEY.", "")
		}
		grant, ok := keys.Lookup(credential)
		if !ok {
			x.reply.Set("WWW-Authenticate", "Bearer")
			return authError("Incorrect API key provided. It is not among the keys of this server.", "invalid_api_key")
		}
		x.grant, x.principal, x.tenant = grant, grant.Principal, "p:"+grant.Principal
		return nil
	}
	if len(credential) == 0 {
		x.tenant = anonymous
		return nil
	}
	x.tenant = s.tenants.of(credential)
	return nil
}

func authError(message, code string) *translate.Error {
	return &translate.Error{Status: 401, Type: translate.TypeInvalidRequest, Code: code, Message: message}
}

// bearer takes the scheme off an Authorization header.
func bearer(header []byte) []byte {
	const scheme = "bearer "
	if len(header) > len(scheme) && bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return bytes.TrimSpace(header[len(scheme):])
	}
	return header
}
