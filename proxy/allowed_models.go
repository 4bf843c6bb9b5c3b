package proxy

import (
	"net/url"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// What a key that is for certain models only may pass through. Which model a
// request is for stands in its path or in its JSON body; one that keeps it
// elsewhere (a form with an audio file) is refused, because what cannot be read
// cannot be allowed.

// admitPassing lets a request that is to be passed through begin.
func (x *exchange) admitPassing() *translate.Error {
	ctx := x.ctx
	if x.grant.Bounded() {
		own, _ := apiPath(pathOf(ctx))
		if name, ok := strings.CutPrefix(own, "/models/"); ok {
			if plain, err := url.PathUnescape(name); err != nil || !x.grant.Allows(plain) {
				return errNoModel(name)
			}
		}
	}
	if !ctx.IsPost() && (!x.grant.Bounded() || ctx.IsGet() || ctx.IsHead() || ctx.IsDelete()) {
		return nil
	}
	if x.grant.Bounded() && !isJSON(ctx) && !(x.mine && ctx.Request.Header.ContentLength() == 0) {
		return &translate.Error{Status: 403, Type: translate.TypeInvalidRequest, Code: "model_not_readable",
			Message: "This API key is for certain models only, and this server can only tell the model of a request with a JSON body."}
	}
	return x.admit()
}

// mayPass checks the model in a body that is to be passed through.
func (x *exchange) mayPass(body []byte) *translate.Error {
	if !x.grant.Bounded() {
		return nil
	}
	// Readers disagree on which of two equal keys counts: only strict JSON will do.
	var d jsonx.Doc
	if err := d.Parse(body, x.server.requestLimits.Limits); err != nil {
		return clientError(400, "", "", "We could not parse the JSON body of your request: "+err.Error()+".")
	}
	if d.Get(jsonx.Root, "model") == 0 && x.mine { // about what is kept: conversations have no model
		return nil
	}
	if name := stringMember(&d, jsonx.Root, "model"); !x.grant.Allows(name) {
		return errNoModel(name)
	}
	return nil
}

// stringMember is a member of an object that is a string, or "".
func stringMember(d *jsonx.Doc, object uint32, key string) string {
	n := d.GetString(object, key)
	if n == 0 {
		return ""
	}
	return d.Text(n)
}

// errNoModel is the Chat API's answer for a model that is not there (docs/PROTOCOL.md §5.6).
func errNoModel(name string) *translate.Error {
	return clientError(404, "model_not_found", "", "The model `"+clip(name)+"` does not exist or you do not have access to it.")
}
