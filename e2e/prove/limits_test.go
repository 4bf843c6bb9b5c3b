package prove

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStreams: so many streams at a time, each to its end, and what one takes.
func TestStreams(t *testing.T) {
	n := min(count(300, 10_000), (descriptors(t)-600)/2) // this process has both ends
	p := start(t, talks(count(3, 60), 20, time.Second, nil), "--set", "limits.connections=20000")
	before, _ := memory(t, p)
	clearPeak(t, p)
	var whole sync.WaitGroup
	var failed atomic.Int64
	for range n {
		c := dial(t, p)
		whole.Go(func() {
			defer c.Close()
			_, _ = io.WriteString(c, strings.Replace(request(streamed), "Host: localhost", "Host: localhost\r\nConnection: close", 1))
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Contains(got, []byte("event: response.completed\n")) {
				failed.Add(1)
			}
		})
	}
	whole.Wait()
	_, peak := memory(t, p)
	t.Logf("%d streams: %d failed, peak %d MB, %d KB a stream", n, failed.Load(), peak/mib, (peak-before)/n>>10)
	if failed.Load() > 0 {
		t.Errorf("%d of %d streams failed", failed.Load(), n)
	}
	if each := (peak - before) / n; each > 64<<10 && long {
		t.Errorf("a stream takes %d KB", each>>10)
	}
}

// TestSlowHeads: clients that never finish their head or their body keep nobody
// waiting, and are closed when the time is over.
func TestSlowHeads(t *testing.T) {
	n, timeout := count(200, 5000), time.Duration(count(4, 30))*time.Second
	p := start(t, answers, "--set", "limits.read_timeout="+timeout.String())
	good := func(n int) time.Duration {
		var took []time.Duration
		for range n {
			began := time.Now()
			resp, err := http.Post("http://"+p.Addr+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"hi"}`))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
			took = append(took, time.Since(began))
		}
		sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
		return took[n*99/100]
	}
	alone := good(100)
	var all sync.WaitGroup
	var wrong atomic.Int64
	for i := range n {
		c := dial(t, p)
		began := time.Now()
		all.Go(func() {
			defer c.Close()
			begin := "POST /v1/responses HTTP/1.1\r\nX: "
			if i%5 == 0 {
				begin = "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{"
			}
			_, _ = io.WriteString(c, begin)
			stop := time.AfterFunc(timeout/2, func() { _, _ = io.WriteString(c, "x") })
			defer stop.Stop()
			_ = c.SetReadDeadline(began.Add(2 * timeout))
			_, err := io.Copy(io.Discard, c)
			if took := time.Since(began); isTimeout(err) || took < timeout*9/10 || took > timeout*12/10+time.Second {
				wrong.Add(1)
			}
		})
	}
	beside := good(100)
	all.Wait()
	t.Logf("%d slow clients: the 99th percentile of others is %v, and %v without them; %d were not closed in time", n, beside, alone, wrong.Load())
	if wrong.Load() > 0 {
		t.Errorf("%d of %d slow clients were not closed in time", wrong.Load(), n)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// TestSlowReaders: clients that read nothing cost little, and are given up in time,
// with their backends.
func TestSlowReaders(t *testing.T) {
	n, timeout := count(50, 1000), time.Duration(count(4, 30))*time.Second
	var mu sync.Mutex
	var ends []time.Duration
	began := time.Now()
	text := delta(strings.Repeat("x", 4000))
	p := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sseHead)
		last := time.Now()
		for {
			if _, err := io.WriteString(w, text); err != nil {
				break
			}
			if time.Since(last) < timeout/8 {
				last = time.Now() // as long as it flows
			}
		}
		mu.Lock()
		ends = append(ends, time.Since(last))
		mu.Unlock()
	}, "--set", "limits.write_timeout="+timeout.String())
	before, _ := memory(t, p)
	clearPeak(t, p)
	for range n {
		c := dial(t, p).(*net.TCPConn)
		_ = c.SetReadBuffer(4 << 10)
		defer c.Close()
		_, _ = io.WriteString(c, request(streamed))
	}
	for end := began.Add(3*timeout + time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		mu.Lock()
		done := len(ends) == n
		mu.Unlock()
		if done {
			break
		}
	}
	_, peak := memory(t, p)
	mu.Lock()
	defer mu.Unlock()
	if len(ends) != n {
		t.Fatalf("%d of %d backends were stopped", len(ends), n)
	}
	sort.Slice(ends, func(i, j int) bool { return ends[i] < ends[j] })
	t.Logf("%d clients: given up after %v to %v; peak %d MB, %d KB a client", n, ends[0], ends[n-1], peak/mib, (peak-before)/n>>10)
	if slack := time.Second / 2; ends[0] < timeout*9/10-slack || ends[n-1] > timeout*11/10+slack {
		t.Errorf("given up after %v to %v, not %v", ends[0], ends[n-1], timeout)
	}
	if each := (peak - before) / n; each > 512<<10 {
		t.Errorf("a client takes %d KB", each>>10)
	}
}

// TestHugeReplies: replies that are larger together than the memory for requests are
// served or ended, each stream with one end, and the process stays within twice that.
func TestHugeReplies(t *testing.T) {
	n, size, budget := count(8, 20), count(8, 58)*mib, count(64, 1024)*mib
	p := start(t, talks(size/3900, 3900, 0, nil), "--set", "limits.memory="+mibText(budget), "--set", "store.max_bytes=64MiB", "--set", "upstream.max_response_bytes=64MiB")
	one(t, p.Addr) // what it takes at rest
	before, _ := memory(t, p)
	clearPeak(t, p)
	var all sync.WaitGroup
	var completed, ended, refused atomic.Int64
	for range n {
		all.Go(func() {
			resp, err := http.Post("http://"+p.Addr+"/v1/responses", "application/json", strings.NewReader(streamed))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var tail []byte
			buf, ends := make([]byte, 256<<10), 0
			for {
				m, err := resp.Body.Read(buf)
				tail = append(tail, buf[:m]...)
				for _, name := range []string{"completed", "incomplete", "failed"} {
					ends += bytes.Count(tail, []byte("event: response."+name+"\n"))
				}
				completed.Add(int64(bytes.Count(tail, []byte("event: response.completed\n"))))
				tail = append(tail[:0], tail[max(0, bytes.LastIndexByte(tail, '\n')+1):]...)
				if len(tail) > 1024 {
					tail = tail[:0]
				}
				if err != nil {
					break
				}
			}
			switch {
			case resp.StatusCode == 503:
				refused.Add(1)
			case ends == 1:
				ended.Add(1)
			default:
				t.Errorf("status %d, %d ends", resp.StatusCode, ends)
			}
		})
	}
	all.Wait()
	_, peak := memory(t, p)
	t.Logf("%d replies of %d MB within %d MB: %d completed, %d ended in all, %d refused; peak %d MB over %d MB", n, size/mib, budget/mib, completed.Load(), ended.Load(), refused.Load(), peak/mib, before/mib)
	if peak-before > 2*budget+64*mib {
		t.Errorf("the peak is %d MB more, with a budget of %d MB", (peak-before)/mib, budget/mib)
	}
	if completed.Load() == 0 {
		t.Error("none was served")
	}
}

func mibText(n int) string { return itoa(n/mib) + "MiB" }

// one sends a small request.
func one(t *testing.T, addr string) {
	t.Helper()
	resp, err := http.Post("http://"+addr+"/v1/responses/compact", "application/json", strings.NewReader("{"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// TestBadInput: what a body costs, whatever is wrong with it, in times its size.
func TestBadInput(t *testing.T) {
	size := count(8, 24) * mib
	rep := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var keys strings.Builder
	for i := 0; keys.Len() < size/4; i++ {
		keys.WriteString(`"k` + itoa(i) + `":"v",`)
	}
	frame := func(s string) string { return `{"model":"m","input":"x",` + s + `}` }
	for name, body := range map[string]string{
		"deep":           rep("["),
		"a long string":  frame(`"instructions":"` + rep("x") + `"`),
		"metadata":       frame(`"metadata":{"a":"` + rep("x") + `"}`),
		"many keys":      frame(`"metadata":{` + strings.TrimSuffix(keys.String(), ",") + `}`),
		"bad UTF-8":      frame(`"instructions":"` + rep("\xff") + `"`),
		"lone surrogate": frame(`"instructions":"` + rep(`\ud800`) + `"`),
		"a long number":  frame(`"temperature":` + rep("1")),
		"tools":          frame(`"tools":[{"type":"function","name":"f","parameters":{"type":"object","description":"` + rep("x") + `"}}]`),
		"a data URL":     `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,` + rep("A") + `"}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, answers, "--set", "store.max_bytes=1MiB", "--set", "store.history_cache_bytes=0")
			one(t, p.Addr)
			before, _ := memory(t, p)
			clearPeak(t, p)
			resp, err := http.Post("http://"+p.Addr+"/v1/responses", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			_, peak := memory(t, p)
			times := float64(peak-before) / float64(len(body))
			t.Logf("%d MB: status %d, %.1f times its size", len(body)/mib, resp.StatusCode, times)
			most := 3.5
			switch {
			case resp.StatusCode == 200:
				most = 8 // the body, the request to the backend, the response with its echo
			case name == "many keys":
				most = 12 // a node for each of its values, of which limits.values bounds the number
			}
			if resp.StatusCode >= 500 || times > most {
				t.Errorf("status %d, %.1f times its size", resp.StatusCode, times)
			}
		})
	}
}

// TestPackedInput: what 11 KB come to that unpack to 190 times as much.
func TestPackedInput(t *testing.T) {
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	unit := "The quick brown fox jumps over the lazy dog, and the lazy dog sleeps on in the sun of the afternoon. 0123456789 abcdefghijklmnopqrstuvwxyz"
	var text strings.Builder
	for i := 0; text.Len() < 2*mib; i++ {
		text.WriteString(unit)
		if i%16 == 0 {
			text.WriteString(itoa(i * 7919))
		}
	}
	_, _ = io.WriteString(z, `{"model":"m","store":false,"input":"`+text.String()+`"}`)
	_ = z.Close()
	p := start(t, answers)
	one(t, p.Addr)
	before, _ := memory(t, p)
	clearPeak(t, p)
	req, _ := http.NewRequest("POST", "http://"+p.Addr+"/v1/responses", bytes.NewReader(packed.Bytes()))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_, peak := memory(t, p)
	t.Logf("%d KB packed: status %d, %d KB, %.1f times what it unpacks to", packed.Len()>>10, resp.StatusCode, (peak-before)>>10, float64(peak-before)/(2*mib))
	if peak-before > 5*2*mib {
		t.Errorf("it takes %d KB", (peak-before)>>10)
	}
}

// TestOverload: ten times the connections and the requests that are configured. Those
// beyond get an answer that says so, and the others are served.
func TestOverload(t *testing.T) {
	most := count(20, 200)
	p := start(t, talks(2, 20, 300*time.Millisecond, nil), "--set", "limits.concurrency="+itoa(most), "--set", "limits.connections="+itoa(5*most))
	var all sync.WaitGroup
	var served, refused, closed atomic.Int64
	for range 10 * most {
		all.Go(func() {
			c, err := net.Dial("tcp", p.Addr)
			if err != nil {
				closed.Add(1)
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, strings.Replace(request(streamed), "Host: localhost", "Host: localhost\r\nConnection: close", 1))
			got, _ := io.ReadAll(c)
			switch {
			case bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) && terminals(t, body(got)) == 1:
				served.Add(1)
			case (bytes.HasPrefix(got, []byte("HTTP/1.1 429 ")) || bytes.HasPrefix(got, []byte("HTTP/1.1 503 "))) && bytes.Contains(got, []byte("\r\nRetry-After: 1\r\n")):
				refused.Add(1)
			case len(got) == 0:
				closed.Add(1)
			default:
				t.Errorf("%.200q", got)
			}
		})
	}
	all.Wait()
	t.Logf("%d clients: %d served, %d told to come again, %d closed", 10*most, served.Load(), refused.Load(), closed.Load())
	if served.Load() < int64(most) {
		t.Errorf("only %d were served", served.Load())
	}
}
