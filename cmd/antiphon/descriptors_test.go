//go:build unix

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
)

// descriptorsVariable makes this test binary a server that may have so many file
// descriptors, in front of the upstream that follows.
const descriptorsVariable = "ANTIPHON_TEST_DESCRIPTORS"

// TestServeOutOfDescriptors: more connections than the process may have descriptors
// do not end it. It serves who has a connection, refuses others, says so at the
// start, and serves them when there is room again.
func TestServeOutOfDescriptors(t *testing.T) {
	if child := os.Getenv(descriptorsVariable); child != "" {
		serveWithDescriptors(t, child)
		return
	}
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}]}`)
	}))
	defer up.Close()
	descriptors := 120
	if os.Getenv("ANTIPHON_PROVE") != "" {
		descriptors = 6000
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeOutOfDescriptors$")
	cmd.Env = append(os.Environ(), descriptorsVariable+"="+strconv.Itoa(descriptors)+" "+up.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	address, warned := "", false
	lines := bufio.NewScanner(out)
	for address == "" && lines.Scan() {
		warned = warned || strings.Contains(lines.Text(), "limits.concurrency: ")
		if _, a, ok := strings.Cut(lines.Text(), "ADDRESS "); ok {
			address = a
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		ended <- cmd.Wait()
	}()
	if address == "" {
		t.Fatal("the server does not start")
	}

	var conns []net.Conn
	for range 3 * descriptors {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	ask := func(c net.Conn) string {
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		const body = `{"model":"m","input":"hi"}`
		_, _ = io.WriteString(c, "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
		got := make([]byte, 12)
		_, _ = io.ReadFull(c, got)
		return string(got)
	}
	for _, c := range conns[:10] {
		if got := ask(c); got != "HTTP/1.1 200" {
			t.Errorf("one of the first gets %q", got)
		}
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		got := ask(c)
		_ = c.Close()
		if got == "HTTP/1.1 200" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("when there is room again, a client gets %q", got)
		}
	}
	if !warned && descriptors < 1000 { // more hold enough for the default configuration to be no mistake
		t.Error("nothing at the start says that the limits cannot be kept")
	}
	select {
	case err := <-ended:
		t.Errorf("the process has ended: %v", err)
	default:
		_ = cmd.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
}

func serveWithDescriptors(t *testing.T, child string) {
	number, upstream, _ := strings.Cut(child, " ")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.Upstream.URL = upstream
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt)
	err = serve(cfg, os.Stdout, stop, func(a net.Addr) { _, _ = io.WriteString(os.Stdout, "ADDRESS "+a.String()+"\n") }, nil)
	if err != nil {
		t.Fatal(err)
	}
}
