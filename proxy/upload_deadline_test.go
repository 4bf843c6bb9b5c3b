package proxy

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestUploadDrips: a body that comes in drops is given up when the time is over,
// also one that is passed on, and its upstream is let go.
func TestUploadDrips(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	for _, path := range []string{"/v1/responses", "/v1/chat/completions", "/v1/files", "/v1/responses/compact"} {
		for _, framing := range []string{"Content-Length: 10000000", "Transfer-Encoding: chunked"} {
			t.Run(path+" "+framing, func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.New(t, "json 200 {}")
				r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.ReadTimeout = config.Duration(timeout) })
				l := r.dial()
				l.path = path
				drop, begin := "x", strings.Repeat(" ", 20000)
				if strings.HasPrefix(framing, "T") {
					drop, begin = "1\r\nx\r\n", "4e20\r\n"+begin+"\r\n"
				}
				began := time.Now()
				l.write("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + framing + "\r\n\r\n" + begin)
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(timeout / 10):
							_, _ = io.WriteString(l.conn, drop)
						}
					}
				}()
				l.head()
				l.rest().want(t, 408, "")
				// 20,000 bytes are worth 0.6 s.
				if took := time.Since(began); took < timeout || took > 2*timeout+time.Second {
					t.Errorf("it took %v", took)
				}
				close(stop)
				if !l.closed() {
					t.Error("the connection stays open")
				}
				r.until("the upstream to be free", func() bool { active, _ := r.srv.router.stats(); return active == 0 })
			})
		}
	}
}

// TestUploadSlow: a body that comes at the rate that is asked for may take longer
// than the time for a request, but not longer than that for an upload.
func TestUploadSlow(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	for _, path := range []string{"/v1/responses", "/v1/files"} {
		for _, whole := range []time.Duration{time.Minute, 2 * timeout} {
			t.Run(path+" "+whole.String(), func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.New(t, answers("hello"))
				r := newRig(t, up.URL(), func(s *setup) {
					s.cfg.Limits.ReadTimeout, s.cfg.Limits.UploadTimeout = config.Duration(timeout), config.Duration(whole)
				})
				const piece, pieces = 16 << 10, 24 // half a second's worth each; 1.2 s in all
				body := strings.Replace(plain, "{", "{"+strings.Repeat(" ", piece*pieces-len(plain)), 1)
				from, to := io.Pipe()
				go func() {
					for i := range pieces {
						time.Sleep(50 * time.Millisecond)
						if _, err := io.WriteString(to, body[i*piece:(i+1)*piece]); err != nil {
							return
						}
					}
					_ = to.Close()
				}()
				got, err := r.try("POST", path, from)
				_ = from.Close()
				switch {
				case whole > time.Second && (err != nil || got.status != 200):
					t.Errorf("%v %v", got, err)
				case whole < time.Second && err == nil && got.status != 408: // or the connection has been closed
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
	}
}
