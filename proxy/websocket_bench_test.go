package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Twenty tool calls of an agent: each turn continues the one before with the
// output of a call. Over HTTP the client sends the whole conversation with every
// turn, as those do that store nothing; over a WebSocket what is new.

const (
	loopTurns  = 20
	loopPrompt = 40 << 10 // what a coding agent says first
	loopOutput = 2 << 10  // of a call
)

func benchRig(b *testing.B) *rig {
	up := upstreamtest.New(b, sseHead+callChunk(0)+finishChunk("tool_calls")+sseDone)
	return newRig(b, up.URL(), func(s *setup) { s.opt.Log = zap.NewNop() })
}

func loopInput(n int) string {
	if n == 0 {
		return `{"role":"user","content":"` + strings.Repeat("p", loopPrompt) + `"}`
	}
	return `{"type":"function_call_output","call_id":"call_0","output":"` + strings.Repeat("o", loopOutput) + `"}`
}

const loopCall = `{"type":"function_call","call_id":"call_0","name":"f","arguments":"{\"a\":1}"}`

func BenchmarkLoopHTTP(b *testing.B) {
	r := benchRig(b)
	b.ReportAllocs()
	for b.Loop() {
		input := ""
		for n := range loopTurns {
			if n > 0 {
				input += "," + loopCall + ","
			}
			input += loopInput(n)
			req, _ := http.NewRequestWithContext(context.Background(), "POST", "http://"+r.addr+"/v1/responses",
				strings.NewReader(`{"model":"m","stream":true,"store":false,"input":[`+input+`]}`))
			resp, err := r.http.Do(req)
			if err != nil || resp.StatusCode != 200 {
				b.Fatal(err, resp)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || !strings.Contains(string(body), "response.completed") {
				b.Fatalf("%v %s", err, body)
			}
		}
	}
}

func BenchmarkLoopWebSocket(b *testing.B) {
	r := benchRig(b)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		c, _, err := r.upgrade()
		if err != nil {
			b.Fatal(err)
		}
		c.SetReadLimit(-1)
		previous := ""
		for n := range loopTurns {
			message := `{"type":"response.create","model":"m","store":false,` + previous + `"input":[` + loopInput(n) + `]}`
			if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
				b.Fatal(err)
			}
			for {
				_, raw, err := c.Read(ctx)
				if err != nil {
					b.Fatal(err)
				}
				if !strings.HasPrefix(string(raw), `{"type":"response.completed"`) {
					if strings.HasPrefix(string(raw), `{"type":"error"`) {
						b.Fatalf("%s", raw)
					}
					continue
				}
				var f struct{ Response struct{ ID string } }
				if err := json.Unmarshal(raw, &f); err != nil {
					b.Fatal(err)
				}
				previous = `"previous_response_id":"` + f.Response.ID + `",`
				break
			}
		}
		_ = c.CloseNow()
	}
}
