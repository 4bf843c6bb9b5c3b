package prove

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/e2e/harness"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

var long = os.Getenv("ANTIPHON_PROVE") != ""

// count is the short form of a number, or the long one.
func count(short, whole int) int {
	if long {
		return whole
	}
	return short
}

const mib = 1 << 20

// TestMain builds the program without the race detector, which takes many times the
// memory: the binary of the other tests has it.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "antiphon-prove-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary := filepath.Join(dir, "antiphon")
		cmd := exec.Command("go", "build", "-o", binary, "./cmd/antiphon")
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(string(out))
		}
		_ = os.Setenv(harness.BinaryEnv, binary)
		return m.Run()
	}())
}

// descriptors is how many files this process may have open.
func descriptors(t *testing.T) int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return int(min(l.Cur, 1<<20))
}

func start(t *testing.T, upstream http.HandlerFunc, flags ...string) *harness.Process {
	t.Helper()
	up := httptest.NewServer(upstream)
	t.Cleanup(up.Close)
	p, err := harness.StartProcess(up.URL, nil, append(flags, "--set", "upstream.detect=false")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.Alive() {
			t.Errorf("the process has ended: %s", p.Log(20))
		}
		for _, fault := range p.Stop() {
			t.Error(fault)
		}
		up.CloseClientConnections()
	})
	return p
}

// memory is the resident memory of a process, and its peak since the last clearPeak.
func memory(t *testing.T, p *harness.Process) (now, peak int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) int {
		_, rest, _ := strings.Cut(string(status), name+":")
		kb, _ := strconv.Atoi(strings.Fields(rest)[0])
		return kb << 10
	}
	return field("VmRSS"), field("VmHWM")
}

func clearPeak(t *testing.T, p *harness.Process) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

const sseHead = "text/event-stream"

func delta(text string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
}

const finish = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"

// talks is an upstream that streams so many deltas of a size, one each gap.
func talks(deltas, size int, gap time.Duration, asked *atomic.Int64) http.HandlerFunc {
	text := delta(strings.Repeat("x", size))
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked != nil {
			asked.Add(1)
		}
		w.Header().Set("Content-Type", sseHead)
		for range deltas {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
			if gap > 0 {
				w.(http.Flusher).Flush()
				select {
				case <-time.After(gap):
				case <-r.Context().Done():
					return
				}
			}
		}
		_, _ = io.WriteString(w, finish)
	}
}

const answer = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`

func answers(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

func request(body string) string {
	return "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

const streamed = `{"model":"m","input":"hi","stream":true,"store":false}`

func dial(t *testing.T, p *harness.Process) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// terminals counts the ends of a stream, and checks it if it is not large.
func terminals(t *testing.T, raw []byte) (n int) {
	t.Helper()
	for _, name := range []string{"completed", "incomplete", "failed"} {
		n += strings.Count(string(raw), "event: response."+name+"\n")
	}
	if len(raw) < mib {
		for _, v := range streamcheck.Stream(raw, streamcheck.Options{}) {
			t.Error(v)
		}
	}
	return n
}

func itoa(n int) string { return strconv.Itoa(n) }

// body is that of a reply in chunks.
func body(raw []byte) []byte {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return nil
	}
	got, _ := io.ReadAll(resp.Body)
	return got
}
