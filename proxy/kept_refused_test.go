package proxy

import (
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// thinksThenCalls is an upstream that gives encrypted reasoning with a call, and later
// does not know it any more, in one of the ways in which servers say so.
func thinksThenCalls(t testing.TB, refusal string) *upstreamtest.Server {
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch body := string(req.Body); {
		case strings.Contains(body, `"encrypted_content":"enc"`):
			return refusal
		case strings.Contains(body, "function_call_output"):
			return ownResponses(req)
		}
		return `json 200 {"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[` +
			`{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"enc"},` +
			`{"id":"fc_1","type":"function_call","call_id":"call_1","name":"f","arguments":"{\"a\":1,\"b\":2}","status":"completed"}]}`
	})
}

// TestKeptReasoningRefused: reasoning that was kept for a chat client and is refused is
// left out, reported and forgotten; any other refusal goes to the client.
func TestKeptReasoningRefused(t *testing.T) {
	t.Parallel()
	const tools = `"tools":[{"type":"function","function":{"name":"f"}}]`
	const next = `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",` +
		`"function":{"name":"f","arguments":"{\"b\": 2, \"a\": 1.0}"}}]},{"role":"tool","tool_call_id":"call_1","content":"r"}]`
	for refusal, dropped := range map[string]bool{
		`json 400 {"error":{"message":"The encrypted content for item rs_1 could not be verified.","type":"invalid_request_error","code":"invalid_encrypted_content"}}`: true,
		`json 400 {"error":{"message":"Encrypted content could not be decrypted or parsed."}}`:                                                                          true,
		`json 404 {"error":{"message":"Item with id 'rs_1' not found. Items are not persisted when store is set to false."}}`:                                           true,
		`json 422 {"detail":[{"loc":["body","input",1,"reasoning"],"msg":"Invalid reasoning item"}]}`:                                                                   true,
		`json 200 {"error":{"message":"invalid_encrypted_content","code":"invalid_encrypted_content"}}`:                                                                 true,
		`json 400 {"error":{"message":"The model m is tired.","type":"invalid_request_error"}}`:                                                                         false,
	} {
		for _, stream := range []string{`"stream":true,`, ``} {
			up := thinksThenCalls(t, refusal)
			r := newRig(t, up.URL(), speaksResponses)
			r.chat(`{"model":"m","messages":[{"role":"user","content":"q"}],`+tools+`}`).want(t, 200, "")
			r.srv.kept.cache.Wait()
			got := r.chat(`{` + stream + `"model":"m",` + next + `,` + tools + `}`)
			if !dropped {
				got.want(t, 400, "")
				if n := up.Count(); n != 2 {
					t.Errorf("%s: asked %d times", refusal, n)
				}
				continue
			}
			got.want(t, 200, "")
			if texts := chatText(t, got); len(texts) != 1 || texts[0] != "hi" {
				t.Errorf("%s: %s", refusal, got.body)
			}
			if !strings.Contains(got.header.Get("Antiphon-Loss")+string(got.body), "chat.reasoning.refused") {
				t.Errorf("%s: not reported: %v %s", refusal, got.header, got.body)
			}
			r.chat(`{`+stream+`"model":"m",`+next+`,`+tools+`}`).want(t, 200, "")
			if n := up.Count(); n != 4 {
				t.Errorf("%s: asked %d times: it is not forgotten", refusal, n)
			}
		}
	}
}
