package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// smuggling is one case of testdata/smuggling; README.md there says how they are
// written.
type smuggling struct {
	name   string
	raw    string
	status [][]int // of each reply: one of these
	open   []bool  // what may become of the connection
	asked  []int   // how many requests the upstream may have seen
}

const smuggledBody = `{"model":"m","input":"hi"}`

func smugglingCases(t *testing.T) (cases []*smuggling) {
	t.Helper()
	paths, _ := filepath.Glob("../testdata/smuggling/*.txt")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		topic := strings.TrimSuffix(filepath.Base(path), ".txt")
		var c *smuggling
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			name, begins := strings.CutPrefix(line, "== ")
			want, wants := strings.CutPrefix(line, "want ")
			switch {
			case line == "" || line[0] == '#':
			case begins:
				c = &smuggling{name: topic + "/" + name, asked: []int{0}}
				cases = append(cases, c)
			case c == nil:
				t.Fatalf("%s: %q before the first case", path, line)
			case wants && c.status == nil:
				c.parseWant(t, want)
			default:
				c.raw += unescape(t, strings.ReplaceAll(line, "{body}", strings.ReplaceAll(smuggledBody, `\`, `\\`)))
			}
		}
	}
	return cases
}

func (c *smuggling) parseWant(t *testing.T, want string) {
	t.Helper()
	words := strings.Fields(want)
	for i, w := range words {
		switch {
		case w == "asked":
			n, maybe := strings.CutSuffix(words[i+1], "?")
			number, err := strconv.Atoi(n)
			if err != nil {
				t.Fatalf("%s: want %s", c.name, want)
			}
			if c.asked = []int{number}; maybe {
				c.asked = append(c.asked, 0)
			}
			return
		case w[0] >= '0' && w[0] <= '9':
			var either []int
			for s := range strings.SplitSeq(w, "|") {
				number, err := strconv.Atoi(s)
				if err != nil {
					t.Fatalf("%s: want %s", c.name, want)
				}
				either = append(either, number)
			}
			c.status = append(c.status, either)
		default:
			for s := range strings.SplitSeq(w, "|") {
				if s != "open" && s != "close" {
					t.Fatalf("%s: want %s", c.name, want)
				}
				c.open = append(c.open, s == "open")
			}
		}
	}
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	var out strings.Builder
	for len(s) > 0 {
		if s[0] != '\\' {
			out.WriteByte(s[0])
			s = s[1:]
			continue
		}
		switch s[1] {
		case 'r':
			out.WriteByte('\r')
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case '0':
			out.WriteByte(0)
		case '\\':
			out.WriteByte('\\')
		case 'x':
			n, err := strconv.ParseUint(s[2:4], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteByte(byte(n))
			s = s[2:]
		default:
			t.Fatalf("escape \\%c", s[1])
		}
		s = s[2:]
	}
	return out.String()
}

// TestSmuggling: however a request is framed, it is refused or read as RFC 9112
// says, and the upstream does not see a second one in it.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	cases := smugglingCases(t)
	if len(cases) < 60 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		paths := []string{"/v1/responses", "/v1/embeddings"}
		if !strings.Contains(c.raw, "{path}") {
			paths = paths[:1]
		}
		for _, path := range paths {
			t.Run(c.name+path, func(t *testing.T) {
				t.Parallel()
				c.run(t, strings.ReplaceAll(c.raw, "{path}", path), false)
			})
		}
		// The same in single bytes: what a parser has seen so far decides nothing.
		t.Run(c.name+"/slowly", func(t *testing.T) {
			t.Parallel()
			c.run(t, strings.ReplaceAll(c.raw, "{path}", "/v1/responses"), true)
		})
	}
}

func (c *smuggling) run(t *testing.T, raw string, slowly bool) {
	up := upstreamtest.NewFunc(t, 0, answer("hello"))
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.AllowedHosts = append(s.cfg.AllowedHosts, "smuggled.example")
		s.cfg.Limits.ReadTimeout = config.Duration(2 * time.Second)
	})
	l := r.dial()
	if slowly {
		go func() {
			for i := range len(raw) {
				if _, err := io.WriteString(l.conn, raw[i:i+1]); err != nil {
					return // refused before its end
				}
			}
		}()
	} else {
		l.write(raw)
	}
	for i, want := range c.status {
		_ = l.conn.SetReadDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(l.br, nil)
		if err != nil {
			t.Fatalf("reply %d: %v", i, err)
		}
		if !slices.Contains(want, resp.StatusCode) {
			t.Errorf("reply %d has status %d, want %v", i, resp.StatusCode, want)
		}
		if resp.StatusCode == 100 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("reply %d: %v", i, err)
		}
		if resp.StatusCode >= 400 {
			checkError(t, body)
		}
	}
	open := false
	if slices.Contains(c.open, true) {
		open = stillOpen(l.conn, l.br)
	}
	switch {
	case !slices.Contains(c.open, open):
		t.Errorf("the connection is open: %v", open)
	case !open:
		wantEnd(t, l.conn, l.br)
	}
	if n := up.Count(); !slices.Contains(c.asked, n) {
		t.Errorf("the upstream has seen %d requests, want %v", n, c.asked)
	}
	for _, req := range up.Requests() {
		seen := fmt.Sprint(req.URI, req.Host, req.Header)
		if strings.Contains(strings.ToLower(seen), "smuggled") {
			t.Errorf("the upstream has seen %s", seen)
		}
		for name, values := range req.Header {
			if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") || strings.Contains(name, " ") {
				t.Errorf("the upstream has seen the header %q: %q", name, values)
			}
		}
		if req.Header.Get("X-Evil") != "" {
			t.Error("the upstream has seen a header made of a path")
		}
		if req.Method == "POST" && len(req.Body) > 0 && !bytes.Contains(req.Body, []byte(`"model":"m"`)) && !bytes.Contains(req.Body, []byte("/v1/smuggled")) {
			t.Errorf("the upstream has got the body %q", req.Body)
		}
	}
	if got := r.get("/healthz"); got.status != 200 {
		t.Errorf("after it: status %d", got.status)
	}
}

// stillOpen asks for something else on the same connection. Whatever was left in
// it of the request before would be taken for the beginning of this one.
func stillOpen(conn net.Conn, br *bufio.Reader) bool {
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return false
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == 200
}

// wantEnd: nothing more comes, and the connection ends.
func wantEnd(t *testing.T, conn net.Conn, br *bufio.Reader) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(br)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection stays open")
	}
	if len(rest) > 0 {
		t.Errorf("more has come: %.200q", rest)
	}
}
