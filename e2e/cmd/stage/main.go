// Command stage runs the real binary between a scripted model and whoever
// connects, for tests in other languages. It prints one line of JSON:
//
//	url      the base URL for clients
//	model    the model: see fakemodel for its control endpoints
//	control  GET /faults: what was wrong since the last time it was asked
//	         GET /exchanges: what has gone over the wire so far
//
// It ends when its standard input does, and with exit code 1 if anything was
// wrong that nobody has asked for.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"antiphon/e2e/harness"
)

func main() { os.Exit(run()) }

// run takes the flags for antiphon as its arguments, after --.
func run() int {
	chained := flag.Bool("chained", false, "a second antiphon is the upstream of the first, which gets the flags")
	flag.Parse()
	defer harness.RemoveBinary()
	stage, err := harness.Open(harness.Options{Flags: flag.Args(), Chained: *chained})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w := watch{stage: stage, told: map[string]bool{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stage.Close()
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", w.faults)
	mux.HandleFunc("GET /exchanges", w.exchanges)
	server := http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	_ = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"url": stage.URL(), "model": stage.Model.URL, "control": "http://" + ln.Addr().String(),
	})
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = server.Close()
	code := 0
	for _, fault := range w.news(stage.Close()) {
		fmt.Fprintln(os.Stderr, fault)
		code = 1
	}
	return code
}

// exchanges answers with what clients have said and were told, oldest first on
// each connection: bodies as they were sent, and the messages of WebSockets.
func (w *watch) exchanges(out http.ResponseWriter, _ *http.Request) {
	type exchange struct {
		Method   string   `json:"method"`
		Path     string   `json:"path"`
		Status   int      `json:"status"`
		Body     string   `json:"body"`
		Reply    string   `json:"reply"`
		Sent     []string `json:"sent,omitempty"`
		Received []string `json:"received,omitempty"`
	}
	list := []exchange{}
	for _, x := range w.stage.Tap.Exchanges() {
		list = append(list, exchange{x.Method, x.Path, x.Status, string(x.Body), string(x.Reply), texts(x.Sent), texts(x.Received)})
	}
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(list)
}

func texts(messages [][]byte) (list []string) {
	for _, m := range messages {
		list = append(list, string(m))
	}
	return list
}

// watch tells each fault once.
type watch struct {
	stage *harness.Stage
	mu    sync.Mutex
	told  map[string]bool
}

func (w *watch) news(faults []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []string{}
	for _, f := range faults {
		if !w.told[f] {
			w.told[f] = true
			list = append(list, f)
		}
	}
	return list
}

// faults answers with the faults that are new. A client that has just left may
// not have been noticed yet, so what seems wrong gets a little time.
func (w *watch) faults(out http.ResponseWriter, _ *http.Request) {
	faults := w.stage.Check()
	for late := time.Now().Add(5 * time.Second); len(faults) > 0 && time.Now().Before(late); {
		if fresh := w.fresh(faults); !fresh {
			break
		}
		time.Sleep(50 * time.Millisecond)
		faults = w.stage.Check()
	}
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(w.news(faults))
}

// fresh reports whether there is something among the faults that was not told.
func (w *watch) fresh(faults []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range faults {
		if !w.told[f] {
			return true
		}
	}
	return false
}
