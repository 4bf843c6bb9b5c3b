package proxy

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Whatever the upstream does, a stream has one terminal event (streamcheck sees
// to that) and a whole answer is an error of the API; what was said stays.

// TestUpstreamCutStream: what a stream comes to when the upstream goes wrong
// after its head.
func TestUpstreamCutStream(t *testing.T) {
	t.Parallel()
	finishOnly := `chunk data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n"
	cases := []struct {
		name    string
		script  string
		status  string // of the response
		text    string
		message string // part of the error's
	}{
		{"cut before the first event", sseHead + "close", "failed", "", "cut off"},
		{"ends before the first event", sseHead + "end", "failed", "", "before the reply was complete"},
		{"reset before the first event", sseHead + "rst", "failed", "", "cut off"},
		{"cut between events", sseHead + delta("a") + delta("b") + "close", "failed", "ab", "cut off"},
		{"ends between events", sseHead + delta("a") + "end", "failed", "a", "before the reply was complete"},
		{"reset between events", sseHead + delta("a") + "wait 5ms\nrst", "failed", "a", "cut off"},
		{"cut in an event", sseHead + delta("a") + `chunk-raw "data: {\"choices\":[{\"ind"` + "\nclose", "failed", "a", "cut off"},
		{"ends in an event", sseHead + delta("a") + `chunk-raw "data: {\"choices\":[{\"ind"` + "\nend", "failed", "a", "before the reply"},
		{"cut in a chunk", sseHead + delta("a") + `raw "ff\r\ndata: {"` + "\nclose", "failed", "a", "cut off"},
		{"cut in a chunk's size", sseHead + delta("a") + `raw "f"` + "\nclose", "failed", "a", "cut off"},
		{"a bad chunk size", sseHead + delta("a") + `raw "zz\r\n"` + "\nstall", "failed", "a", "not answer in proper HTTP"},
		{"a negative chunk size", sseHead + delta("a") + `raw "-1\r\n"` + "\nstall", "failed", "a", "not answer in proper HTTP"},
		{"a chunk size beyond all bounds", sseHead + delta("a") + `raw "ffffffffffffffff\r\n"` + "\nstall", "failed", "a", "not answer in proper HTTP"},
		{"no line end after a chunk", sseHead + delta("a") + `raw "1\r\nxy\r\n"` + "\nstall", "failed", "a", "not answer in proper HTTP"},
		{"a chunk extension without end", sseHead + delta("a") + `raw "1;` + strings.Repeat("x", 20000) + `"` + "\nstall", "failed", "a", "not answer in proper HTTP"},
		{"stalls", sseHead + delta("a") + "stall", "failed", "a", "stopped in the middle"},
		{"stalls in an event", sseHead + delta("a") + `chunk-raw "data: {"` + "\nstall", "failed", "a", "stopped in the middle"},
		{"stalls before the first event", sseHead + "stall", "failed", "", "stopped in the middle"},
		{"says nothing but comments and ends", sseHead + "repeat 20 chunk : busy\nend", "failed", "", "before the reply was complete"},
		{"an error in the stream", sseHead + delta("a") + `chunk data: {"error":{"message":"the GPU fell off","type":"server_error","code":500}}`, "failed", "a", "the GPU fell off"},
		{"an error as text", sseHead + delta("a") + "chunk data: out of memory", "failed", "a", "not JSON"},
		{"a line without a field name", sseHead + delta("a") + `chunk {"error":"the GPU fell off"}`, "failed", "a", "the GPU fell off"},

		{"cut after the finish", sseHead + delta("a") + finishOnly + "close", "completed", "a", ""},
		{"reset after the finish", sseHead + delta("a") + finishOnly + "wait 5ms\nrst", "completed", "a", ""},
		{"stalls after the finish", sseHead + delta("a") + finishOnly + "stall", "completed", "a", ""},
		{"stalls after finish and usage", sseHead + delta("a") + finishChunk("stop") + "stall", "completed", "a", ""},
		{"trailing events", sseHead + delta("a") + finishChunk("stop") + sseDone + delta("b") + sseDone, "completed", "a", ""},
		{"trailing garbage", sseHead + delta("a") + finishChunk("stop") + sseDone + "chunk-raw \"\\x00\\xff{}{}\"\nend\nraw \"HTTP/1.1 200 OK\\r\\n\\r\\n\"", "completed", "a", ""},
		{"no marker at the end", sseHead + delta("a") + finishChunk("stop"), "completed", "a", ""},
		{"no reason to finish but a marker", sseHead + delta("a") + sseDone, "completed", "a", ""},
		{"ends with the connection", "head 200 text/event-stream close\n" + delta("a") + finishChunk("stop") + sseDone + "close", "completed", "a", ""},
		{"the length runs out", "head 200 text/event-stream length=10\nraw \"data: {}\\n\\n\"", "failed", "", "before the reply was complete"},
		{"less than the length", "head 200 text/event-stream length=100\nraw \"data: {}\\n\\n\"\nclose", "failed", "", "cut off"},
		{"the length limit", sseHead + delta("a") + finishChunk("length") + sseDone, "incomplete", "a", ""},

		{"a web page", "head 200 text/html\nchunk <html><body>Welcome to nginx!</body></html>", "failed", "", "HTML page"},
		{"a web page cut off", "head 200 text/html\nchunk <html><body>Welcome\nclose", "failed", "", "cut off"},
		{"plain text", "head 200 text/plain\nchunk all is well", "failed", "", "all is well"},
		{"an event stream by another name", "head 200 text/plain\n" + delta("a") + finishChunk("stop"), "completed", "a", ""},
		{"no content type", `raw "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"` + "\n" +
			strings.ReplaceAll(chunked(delta("a")+finishChunk("stop")), "chunk-raw", "raw") + `raw "0\r\n\r\n"`, "completed", "a", ""},
		{"an error with status 200", `json 200 {"error":{"message":"no such thing","type":"invalid_request_error","code":"bad"}}`, "failed", "", "no such thing"},
		{"an empty body with status 200", "json 200 ", "failed", "", ""},
		{"half a whole answer", "head 200 application/json\nchunk-raw \"{\\\"choices\\\":[\"\nclose", "failed", "", "cut off"},
		{"compressed though nobody asked", "header Content-Encoding: gzip\n" + sseHead + `chunk-raw "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xca\x48"`, "failed", "", "gzip"},
		{"compressed JSON though nobody asked", "header Content-Encoding: gzip\nhead 200 application/json\n" + `chunk-raw "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xca\x48"`, "failed", "", "gzip"},

		{"a negative count of tokens", sseHead + delta("a") + strings.Replace(finishChunk("stop"), `"prompt_tokens":7`, `"prompt_tokens":-7`, 1), "completed", "a", ""},
		{"an absurd count of tokens", sseHead + delta("a") + strings.Replace(finishChunk("stop"), `"prompt_tokens":7`, `"prompt_tokens":`+strings.Repeat("9", 400), 1), "completed", "a", ""},
		{"a broken count of tokens", sseHead + delta("a") + strings.Replace(finishChunk("stop"), `"prompt_tokens":7`, `"prompt_tokens":1.5e308,"completion_tokens_details":[]`, 1), "completed", "a", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, c.script)
			r := newRig(t, up.URL(), func(s *setup) {
				s.cfg.Upstream.Timeouts.Idle = config.Duration(300 * time.Millisecond)
				s.cfg.Stream.UsageGrace = config.Duration(100 * time.Millisecond)
			})
			v := r.post(streamed).response(t)
			if v.Status != c.status || v.text() != c.text {
				t.Errorf("got %s %q, want %s %q", v.Status, v.text(), c.status, c.text)
			}
			if (v.Error != nil) != (c.status == "failed") {
				t.Errorf("error: %+v", v.Error)
			}
			if v.Error != nil && !strings.Contains(v.Error.Message, c.message) {
				t.Errorf("error: %q, want something about %q", v.Error.Message, c.message)
			}
			if up.Count() != 1 {
				t.Errorf("the upstream was asked %d times", up.Count())
			}
			if enc := up.Next().Header.Get("Accept-Encoding"); enc != "identity" {
				t.Errorf("Accept-Encoding: %s", enc)
			}
			// What the client saw is what was stored.
			if got := r.get("/v1/responses/" + v.ID); string(got.body) != string(v.raw) {
				t.Errorf("GET answers %d %s, the stream said %s", got.status, got.body, v.raw)
			}
		})
	}
}

// chunked rewrites chunk steps into chunk-raw ones that bring their own framing,
// for scripts that write the head by hand.
func chunked(script string) (out string) {
	for line := range strings.Lines(script) {
		text := strings.TrimSuffix(strings.TrimPrefix(line, "chunk "), "\n") + "\n\n"
		out += "chunk-raw " + strconv.Quote(fmt.Sprintf("%x\r\n%s\r\n", len(text), text)) + "\n"
	}
	return out
}

// TestUpstreamCutWhole: what becomes of a request without a stream, and of one
// whose upstream fails before there is a head. The status is the same for both.
func TestUpstreamCutWhole(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		script  string
		status  int
		code    string
		message string
		both    bool // for a stream too
	}{
		{"closes without a reply", "close", 502, codeConnectionLost, "without a reply", true},
		{"resets without a reply", "rst", 502, codeConnectionLost, "without a reply", true},
		{"says nothing", "hold-head", 504, "server_error", "waiting for the reply", true},
		{"half a head", `raw "HTTP/1.1 200 OK\r\nConte"` + "\nclose", 502, "server_error", "cut off", true},
		{"half a head, then nothing", `raw "HTTP/1.1 200 OK\r\nConte"` + "\nstall", 504, "server_error", "waiting for the reply", true},
		{"not HTTP", `raw "SSH-2.0-OpenSSH_9.9\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"TLS", `raw "\x15\x03\x01\x00\x02\x02\x16\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"HTTP/2", `raw "\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"a status that is none", `raw "HTTP/1.1 2000 OK\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"no status", `raw "HTTP/1.1\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"endless headers", "endless-header", 502, "server_error", "proper HTTP", true},
		{"one endless header", `raw "HTTP/1.1 200 OK\r\nX: "` + "\nrepeat 5000 raw \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\nstall", 502, "server_error", "proper HTTP", true},
		{"two lengths", `raw "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}    "` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"a negative length", `raw "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}    "` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"an unknown coding", `raw "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"switches protocols", `raw "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"a flood of 1xx", `repeat 10000 raw "HTTP/1.1 102 Processing\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"a redirect", "header Location: http://elsewhere/\njson 307 {}", 502, "server_error", "307", true},
		{"no content", `raw "HTTP/1.1 204 No Content\r\n\r\n"`, 502, "server_error", "204", true},
		{"not modified", `raw "HTTP/1.1 304 Not Modified\r\n\r\n"`, 502, "server_error", "304", true},
		{"created", "json 201 " + completion("a"), 502, "server_error", "201", true},
		{"a status below 200 that is none", `raw "HTTP/1.1 042 What\r\n\r\n"` + "\nstall", 502, "server_error", "proper HTTP", true},
		{"bad request", `json 400 {"error":{"message":"temperature is too hot","type":"invalid_request_error","param":"temperature","code":"too_hot"}}`, 400, "too_hot", "too hot", true},
		{"bad gateway of a proxy", "head 502 text/html\nchunk <html>bad gateway</html>", 502, "server_error", "502", true},
		{"an error cut off", "head 500 text/plain\nchunk out of\nclose", 500, "server_error", "out of", true},
		{"an endless error", "head 500 text/plain\nfill 1000000000 \"x\"", 500, "server_error", "xxx", true},
		{"status 600", "json 600 {}", 600, "server_error", "", true},

		{"an empty body", "json 200 ", 502, "server_error", "", false},
		{"no choices", `json 200 {"object":"chat.completion","choices":[]}`, 502, "server_error", "choices", false},
		{"a web page", "head 200 text/html\nchunk <html>hello</html>", 502, "server_error", "HTML page", false},
		{"half the length", "head 200 application/json length=5000\nraw \"{\\\"choices\\\":[\"\nclose", 502, "server_error", "cut off", false},
		{"half the chunks", "head 200 application/json\nchunk {\"choices\":[\nclose", 502, "server_error", "cut off", false},
		{"half the JSON", "head 200 application/json\nchunk {\"choices\":[\nend", 502, "server_error", "not JSON", false},
		{"stalls", "head 200 application/json\nchunk {\"choices\":[\nstall", 504, "server_error", "reading the reply", false},
		{"an error with status 200", `json 200 {"error":{"message":"no such thing","type":"invalid_request_error","code":"bad"}}`, 400, "bad", "no such thing", false},
		{"an error with a number", `json 200 {"error":{"message":"slow down","code":429}}`, 429, "rate_limit_exceeded", "slow down", false},
		{"an endless reply", "head 200 application/json\nchunk-raw \"{\\\"choices\\\":[\"\nfill 1000000000 \"1,\"", 502, "server_error", "larger than", false},
		{"compressed", "header Content-Encoding: gzip\nhead 200 application/json\n" + `chunk-raw "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xca\x48"`, 502, "server_error", "gzip", false},
		{"gave up", "json 200 " + strings.Replace(completion("a"), `"stop"`, `"error"`, 1), 502, "server_error", "gave up", false},
	}
	for _, c := range cases {
		for _, body := range []string{plain, streamed} {
			if body == streamed && !c.both {
				continue
			}
			t.Run(c.name+map[bool]string{true: "/stream"}[body == streamed], func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.New(t, c.script)
				r := newRig(t, up.URL(), func(s *setup) {
					s.cfg.Upstream.Timeouts.Idle = config.Duration(300 * time.Millisecond)
					s.cfg.Upstream.Timeouts.FirstByte = config.Duration(300 * time.Millisecond)
					s.cfg.Upstream.MaxResponseBytes = config.MiB
				})
				got := r.post(body)
				got.want(t, c.status, c.code)
				if !strings.Contains(got.err().Message, c.message) {
					t.Errorf("%q says nothing about %q", got.err().Message, c.message)
				}
				if strings.Contains(got.err().Message, "127.0.0.1") {
					t.Errorf("%q names an address", got.err().Message)
				}
				if up.Count() != 1 {
					t.Errorf("the upstream was asked %d times", up.Count())
				}
				if n := r.metric("antiphon_store_records"); n != 0 {
					t.Errorf("%v responses were stored", n)
				}
			})
		}
	}
}

// TestUpstreamUnreachable: nobody there, and nobody answering.
func TestUpstreamUnreachable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := ln.Addr().String()
	_ = ln.Close()
	for name, c := range map[string]struct {
		addr    string
		status  int
		message string
	}{
		"refuses":         {refused, 502, "could not be reached"},
		"does not accept": {upstreamtest.Deaf(t), 504, "in time (connecting)"},
		"has no name":     {"no-such-host.invalid:80", 502, "could not be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "http://"+c.addr, func(s *setup) { s.cfg.Upstream.Timeouts.Connect = config.Duration(300 * time.Millisecond) })
			for _, body := range []string{plain, streamed} {
				got := r.post(body)
				if name == "has no name" && got.status == 504 {
					t.Skip("names are not looked up in time here")
				}
				got.want(t, c.status, "server_error")
				if !strings.Contains(got.err().Message, c.message) {
					t.Error(got.err().Message)
				}
			}
			r.do("GET", "/v1/models", "").want(t, c.status, "server_error")
		})
	}
}

// TestUpstreamCutEverywhere cuts a stream at every byte of what goes over the
// wire, in order and with a reset.
func TestUpstreamCutEverywhere(t *testing.T) {
	t.Parallel()
	wire := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	head := len(wire)
	for line := range strings.SplitSeq(strings.TrimSpace(delta("ab")+delta("cd")+finishChunk("stop")+sseDone), "\n") {
		text := strings.TrimPrefix(line, "chunk ") + "\n\n"
		wire += fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
	}
	wire += "0\r\n\r\n"
	finish := strings.Index(wire, "total_tokens") + len(`total_tokens":10}}`) + len("\n\n")

	var mu sync.Mutex
	cut := 0
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		n, err := strconv.Atoi(req.Header.Get("Openai-Project"))
		if err != nil {
			t.Error(err)
		}
		end := "close"
		if n%2 == 1 {
			end = "wait 2ms\nrst" // a reset throws away what the proxy has not read yet
		}
		return "raw " + strconv.Quote(wire[:n]) + "\n" + end
	})
	r := newRig(t, up.URL())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				mu.Lock()
				n := cut
				cut++
				mu.Unlock()
				if n > len(wire) {
					return
				}
				got := r.post(streamed, "OpenAI-Project: "+strconv.Itoa(n))
				if n < head {
					if got.status != 502 {
						t.Errorf("cut at %d: status %d", n, got.status)
					}
					continue
				}
				v := got.response(t)
				switch {
				case n > finish && v.Status == "completed" && v.text() == "abcd":
				case n < finish && v.Status == "failed" && strings.HasPrefix("abcd", v.text()):
				case n == finish:
				default:
					t.Errorf("cut at %d of %d (finish at %d): %s %q", n, len(wire), finish, v.Status, v.text())
				}
			}
		})
	}
	wg.Wait()
}

// TestUpstreamInformational: a few 1xx replies before the real one are legal.
func TestUpstreamInformational(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, `repeat 5 raw "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"`+"\n"+answers("hello"))
	r := newRig(t, up.URL())
	if v := r.post(plain).response(t); v.text() != "hello" {
		t.Errorf("%s", v.raw)
	}
}

// TestUpstreamTrailingReply: bytes after a reply are not the reply to the next
// request, which may be that of another tenant.
func TestUpstreamTrailingReply(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"whole":  "raw " + strconv.Quote("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(completion("first")))+"\r\n\r\n"+completion("first")+"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(completion("poison")))+"\r\n\r\n"+completion("poison")),
		"chunks": "head 200 application/json\nchunk-raw " + strconv.Quote(completion("first")) + "\nraw " + strconv.Quote("0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(completion("poison")))+"\r\n\r\n"+completion("poison")) + "\nstall",
		"half a trailer": "head 200 application/json\nchunk-raw " + strconv.Quote(completion("first")) + "\nraw " + strconv.Quote("0\r\nX-Half: ") +
			"\nwait 700ms\nraw " + strconv.Quote("1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(completion("poison")))+"\r\n\r\n"+completion("poison")) + "\nstall",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, first, answers("second"))
			r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Timeouts.Idle = config.Duration(300 * time.Millisecond) })
			for _, want := range []string{"first", "second"} {
				if v := r.post(plain).response(t); v.text() != want {
					t.Errorf("got %q, want %q", v.text(), want)
				}
			}
		})
	}
}

// TestUpstreamHuge: an event of a gigabyte ends the stream, and is not kept.
// It is not parallel, because it counts what is allocated.
func TestUpstreamHuge(t *testing.T) {
	for name, c := range map[string]struct{ fill, message string }{
		"one line":        {`fill 1000000000 "x"`, "event that is larger"},
		"one data line":   {"chunk-raw \"data: \"\n" + `fill 1000000000 "x"`, "event that is larger"},
		"many data lines": {`fill 1000000000 "data: ` + strings.Repeat("x", 1000) + `\n"`, "event that is larger"},
		"many comments":   {`fill 1000000000 ": xxxxx\n"`, "reply is larger"},
		"many blanks":     {`fill 1000000000 "\n"`, "reply is larger"},
		"many events":     {`fill 1000000000 "data: {}\n\n"`, "reply is larger"},
	} {
		t.Run(name, func(t *testing.T) {
			up := upstreamtest.New(t, sseHead+delta("a")+c.fill)
			r := newRig(t, up.URL(), func(s *setup) {
				s.cfg.Upstream.MaxResponseBytes = 24 * config.MiB
				s.cfg.Upstream.Timeouts.Idle = config.Duration(2 * time.Second)
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v := r.post(streamed).response(t) // and check it: that is not much here
			runtime.ReadMemStats(&after)
			if v.Status != "failed" || v.text() == "" || !strings.Contains(v.Error.Message, c.message) {
				t.Errorf("%s %.100q %+v", v.Status, v.text(), v.Error)
			}
			took := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%d MiB were allocated", took)
			if took > 400 {
				t.Errorf("%d MiB were allocated", took)
			}
		})
	}
}

// TestUpstreamEndless: a reply that goes on and on, in the words of the API.
func TestUpstreamEndless(t *testing.T) {
	t.Parallel()
	calls := ""
	for i := range 2000 {
		calls += callChunk(i)
	}
	jumps := callChunk(1<<30) + callChunk(-5) + callChunk(127) + callChunk(1<<30) + finishChunk("tool_calls")
	for name, c := range map[string]struct{ script, message string }{
		"text":        {"repeat 1000000 " + delta(strings.Repeat("x", 1000)), "larger than"},
		"calls":       {calls, "larger than"},
		"index jumps": {jumps, ""},
	} {
		for _, body := range []string{streamed, plain} {
			t.Run(name+map[bool]string{true: "/stream"}[body == streamed], func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.New(t, sseHead+c.script)
				r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.MaxResponseBytes = config.MiB })
				got := r.post(body)
				if c.message == "" {
					if v := got.response(t); v.Status != "completed" || len(v.Output) == 0 {
						t.Errorf("%s", v.raw)
					}
					return
				}
				if body == plain {
					got.want(t, 502, "server_error")
					return
				}
				if v := got.response(t); v.Status != "failed" || !strings.Contains(v.Error.Message, c.message) {
					t.Errorf("%s %+v", v.Status, v.Error)
				}
			})
		}
	}
}
