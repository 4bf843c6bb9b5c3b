package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Secrets of the operator, as they stand in the configuration.
const (
	operatorKey   = "op/key-OPERATOR-1"
	operatorToken = "token-OPERATOR-2"
	storePassword = "pw-OPERATOR-3"
	sealSecret    = "seal-OPERATOR-4-seal-OPERATOR-4-seal"
)

// wroteStore holds all that was ever written.
type wroteStore struct {
	store.Store
	mu    sync.Mutex
	wrote bytes.Buffer
}

func (w *wroteStore) note(parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range parts {
		w.wrote.Write(p)
		w.wrote.WriteByte('\n')
	}
}

func (w *wroteStore) Put(ctx context.Context, rec *store.Record) error {
	w.note([]byte(rec.Tenant), rec.Response, rec.Input)
	return w.Store.Put(ctx, rec)
}

func (w *wroteStore) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	w.note([]byte(tenant))
	for _, d := range b.Put {
		w.note([]byte(d.Doc.Key), d.Doc.Body)
	}
	for _, a := range b.Append {
		for _, e := range a.Entries {
			w.note([]byte(e.Key), e.Body)
		}
	}
	for _, r := range b.Records {
		w.note(r.Response, r.Input)
	}
	return w.Store.Commit(ctx, tenant, b)
}

// withSecrets configures a server with secrets in every place that has some.
func withSecrets(st *wroteStore, recorded *bytes.Buffer) func(*setup) {
	var mu sync.Mutex
	return func(s *setup) {
		s.cfg.Upstream.Key = config.NewSecret(operatorKey)
		s.cfg.Upstream.Headers = map[string]config.Secret{"X-Gateway": config.NewSecret("Bearer " + operatorToken)}
		s.cfg.Upstream.URL += "/v1?code=query-OPERATOR-5"
		s.cfg.Store.Kind = "redis://user:" + storePassword + "@127.0.0.1/0"
		s.cfg.Seal.Keys = []config.Secret{config.NewSecret(sealSecret)}
		s.opt.Store = st
		s.opt.Record = func(r *Recording) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(recorded, "%s\n%s\n%s\n%s\n%s\n", r.Client, r.History, r.References, r.Upstream, r.Reply)
		}
	}
}

func newWroteStore(t *testing.T) *wroteStore {
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	return &wroteStore{Store: st}
}

// operatorInJSON is the operator's key in the forms in which servers write it.
var operatorInJSON = []string{operatorKey, strings.ReplaceAll(operatorKey, "/", `\/`), operatorToken, "query-OPERATOR-5"}

func TestTheOperatorsSecretsAreNowhere(t *testing.T) {
	for _, secret := range operatorInJSON {
		failure := `{"error":{"message":"Incorrect API key provided: ` + secret + `.","type":"invalid_request_error","code":"` + secret + `"}}`
		scripts := map[string]string{
			"401":       "header X-Ratelimit-Key: " + secret + "\nheader X-Debug: key=" + secret + "\njson 401 " + failure,
			"text":      "head 403 text/plain\nchunk-raw \"no entry for " + strings.ReplaceAll(secret, `\`, `\\`) + "\"\n",
			"200":       "json 200 " + failure,
			"in-stream": "head 200 text/event-stream\nchunk data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\nchunk data: " + failure + "\n",
			"in pieces": "head 500 application/json\nchunk-raw " + fmt.Sprintf("%q", failure[:50]) + "\nwait 20ms\nchunk-raw " + fmt.Sprintf("%q", failure[50:]) + "\n",
		}
		for name, script := range scripts {
			if secret != operatorKey && name != "401" && name != "in-stream" {
				continue
			}
			for _, api := range []config.UpstreamAPI{config.APIChat, config.APIResponses} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, api, secret), func(t *testing.T) {
					up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return script })
					st, recorded := newWroteStore(t), &bytes.Buffer{}
					r := newRig(t, up.URL(), withSecrets(st, recorded), func(s *setup) { s.cfg.Upstream.API = api })
					var seen bytes.Buffer
					for _, request := range [][2]string{
						{"/v1/responses", `{"model":"m","input":"x"}`}, {"/v1/responses", `{"model":"m","input":"x","stream":true}`},
						{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}]}`},
						{"/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`},
						{"/v1/embeddings", `{"model":"m","input":"x"}`},
						{"/v1/responses/input_tokens", `{"model":"m","input":"x"}`},
						{"/v1/responses/compact", `{"model":"m","input":"x"}`},
					} {
						resp, err := r.http.Post("http://"+r.addr+request[0], "application/json", strings.NewReader(request[1]))
						if err != nil {
							t.Fatal(err)
						}
						body, _ := io.ReadAll(resp.Body) // what is passed on may be no error of the API, and cut
						_ = resp.Body.Close()
						fmt.Fprintf(&seen, "%s: %d %v %s\n", request, resp.StatusCode, resp.Header, body)
					}
					if api == config.APIChat {
						socket := r.socket()
						socket.create(`"input":"x"`)
						fmt.Fprintf(&seen, "%+v\n", socket.result(""))
					}
					r.stop()
					for _, path := range []string{"/metrics", "/debug/pprof/cmdline", "/dialects", "/debug/pprof/goroutine?debug=2"} {
						rec := httptest.NewRecorder()
						r.srv.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
						fmt.Fprintf(&seen, "%s\n", rec.Body)
					}
					for what, text := range map[string]string{
						"a client": seen.String(), "the log": strings.Join(r.log.lines(), "\n"), "a recording": recorded.String(), "the store": st.wrote.String(),
					} {
						for line := range strings.Lines(text) {
							if strings.Contains(line, "OPERATOR-") {
								t.Errorf("%s gets: %s", what, line)
							}
						}
					}
				})
			}
		}
	}
}

// Tools in which every word with TOOLSECRET is a credential.
const secretTools = `[{"type":"mcp","server_label":"l","server_url":"https://u:TOOLSECRET-1@h.example/TOOLSECRET-2-path?k=TOOLSECRET-3-query","authorization":"TOOLSECRET-4","headers":{"X":"TOOLSECRET-5"}},` +
	`{"type":"namespace","name":"n","description":"d","tools":[{"type":"vendor","api_key":"TOOLSECRET-6"},{"type":"function","name":"f","parameters":{"type":"object","properties":{"password":{"type":"string"}}}}]}]`

func TestTheSecretsOfToolsAreNowhere(t *testing.T) {
	const words = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Aye."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	const said = `{"id":"resp_up","object":"response","created_at":1,"model":"m","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Aye.","annotations":[]}]}],"tools":` + secretTools + `,"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`
	refusal := `{"error":{"message":"cannot reach the server with TOOLSECRET-4 and TOOLSECRET-6"}}`
	for _, partial := range []bool{false, true} {
		up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
			switch {
			case bytes.Contains(req.Body, []byte("refuse")):
				return "json 400 " + refusal
			case partial && bytes.Contains(req.Body, []byte(`"stream":true`)):
				return "head 200 text/event-stream\nchunk data: {\"type\":\"response.completed\",\"response\":" + said + "}\n"
			case partial:
				return "json 200 " + said
			case bytes.Contains(req.Body, []byte(`"stream":true`)):
				return "head 200 text/event-stream\nchunk data: " + strings.Replace(words, `"message"`, `"delta"`, 1) + "\nchunk data: [DONE]\n"
			}
			return "json 200 " + words
		})
		st, recorded := newWroteStore(t), &bytes.Buffer{}
		r := newRig(t, up.URL(), withSecrets(st, recorded), func(s *setup) {
			if partial {
				s.cfg.Upstream.API = config.APIResponses
				s.cfg.Upstream.Dialect = "ollama"
				s.cfg.Upstream.Overrides = mustOverride(t, "responses: {hosted_tools: true}") // others are not offered any
			}
		})
		var seen bytes.Buffer
		show := func(p *reply) *reply {
			fmt.Fprintf(&seen, "%v %s\n", p.header, p.body)
			return p
		}
		tools := `"tools":` + secretTools
		added := `[{"type":"additional_tools","role":"developer","tools":` + secretTools + `},{"role":"user","content":"x"}]`
		if partial { // it refuses the item
			added = `[{"role":"user","content":"x"}]`
		}
		first := show(r.post(`{"model":"m","input":"x",` + tools + `}`))
		id := first.responseID(t)
		show(r.get("/v1/responses/" + id))
		show(r.get("/v1/responses/" + id + "/input_items"))
		show(r.post(`{"model":"m","stream":true,"input":"x",` + tools + `}`))
		show(r.post(`{"model":"m","input":` + added + `,` + tools + `,"previous_response_id":"` + id + `"}`))
		id = show(r.post(`{"model":"m","input":` + added + `}`)).responseID(t)
		show(r.get("/v1/responses/" + id + "/input_items"))
		show(r.post(`{"model":"m","input":"refuse",`+tools+`}`)).want(t, 400, "")
		conversation := show(r.do("POST", "/v1/conversations", `{"items":`+added+`}`))
		var made struct{ ID string }
		if err := json.Unmarshal(conversation.body, &made); err != nil {
			t.Fatal(err)
		}
		show(r.get("/v1/conversations/" + made.ID + "/items"))
		show(r.post(`{"model":"m","conversation":"` + made.ID + `","input":"x",` + tools + `}`))
		waiting := show(r.post(`{"model":"m","background":true,"input":` + added + `,` + tools + `}`)).responseID(t)
		r.until("the background response to end", func() bool {
			return strings.Contains(string(show(r.get("/v1/responses/"+waiting)).body), `"status":"completed"`)
		})
		socket := r.socket()
		socket.create(`"input":"x",` + tools)
		fmt.Fprintf(&seen, "%s\n", socket.result("").stream)
		r.stop()
		seenText := seen.String()
		if partial && !slices.ContainsFunc(up.Requests(), func(q *upstreamtest.Request) bool { return bytes.Contains(q.Body, []byte("TOOLSECRET-4")) }) {
			t.Error("who runs the tools does not get their credentials")
		}
		// The client that has sent them may hear of them in what the upstream complains of.
		seenText = strings.ReplaceAll(seenText, "cannot reach the server with TOOLSECRET-4 and TOOLSECRET-6", "")
		for what, text := range map[string]string{
			"a client": seenText, "the log": strings.Join(r.log.lines(), "\n"), "a recording": recorded.String(), "the store": st.wrote.String(), "metrics": r.metrics(),
		} {
			for line := range strings.Lines(text) {
				if i := strings.Index(line, "TOOLSECRET"); i >= 0 {
					t.Errorf("partial %v: %s gets …%s", partial, what, line[max(0, i-100):min(len(line), i+100)])
				}
			}
		}
		if recorded.Len() == 0 || st.wrote.Len() == 0 {
			t.Error("nothing was recorded or stored")
		}
	}
}

func TestUnreadableRequestsAreNotLogged(t *testing.T) {
	r := newRig(t, newEcho(t).URL())
	for _, raw := range []string{
		"GET /v1/models?key=CANARY-1 HTTP/1.1 CANARY\r\nAuthorization: Bearer CANARY-2\r\n\r\n",
		"GET\x01/CANARY-3\r\n\r\n", "POST /v1/responses HTTP/1.1\r\nHost: h\r\nAuthorization CANARY-4\r\n\r\n",
		"POST /v1/responses HTTP/1.1\r\nHost: h\r\nContent-Length: CANARY-5\r\n\r\n",
	} {
		l := r.dial()
		l.write(raw)
		if !l.closed() {
			t.Errorf("%q: the connection stays open", raw)
		}
	}
}
