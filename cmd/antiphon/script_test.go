package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/antiphon-proxy/antiphon/proxy/zoo"
)

// The sessions of testdata/script are run with this program as antiphon.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"antiphon": main})
}

// TestScript: every session has two free ports, in $LISTEN and $ADMIN.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"LISTEN", "ADMIN"} {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, ln.Addr().String())
				_ = ln.Close()
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await": await,
			"fetch": fetch,
			"zoo":   startZoo,
		},
	})
}

// zoo FAMILY starts a backend of that family, with its URL in $ZOO.
func startZoo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: zoo FAMILY")
	}
	s := zoo.Start(zoo.Named(args[0]))
	ts.Defer(s.Close)
	ts.Setenv("ZOO", s.Base())
}

// await URL waits until a server answers there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await URL")
	}
	for late := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(args[0]) // a test's own server
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(late) {
			ts.Fatalf("nobody answers at %s: %v", args[0], err)
		}
	}
}

// fetch FILE METHOD URL [BODY] [HEADER: VALUE]… puts the status and the body of a
// reply into a file. With ! the status must be one of an error.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: fetch FILE METHOD URL [BODY] [HEADER: VALUE]…")
	}
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(args[3])
	}
	req, err := http.NewRequest(args[1], args[2], body) // a test's own server
	ts.Check(err)
	for _, h := range args[min(len(args), 4):] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append([]byte(resp.Status+"\n"), got...), 0o600))
	if failed := resp.StatusCode >= 400; failed != neg {
		ts.Fatalf("%s %s: %s\n%s", args[1], args[2], resp.Status, got)
	}
}
