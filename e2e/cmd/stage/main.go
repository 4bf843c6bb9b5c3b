// Command stage runs the real binary between a scripted model and whoever
// connects, for tests in other languages. It prints one line of JSON:
//
//	url      the base URL for clients
//	model    the model: see fakemodel for its control endpoints
//	control  GET /faults: what was wrong since the last time it was asked
//	         GET /exchanges: what has gone over the wire so far
//	zoo      with -zoo: the members, by the names of their models
//	         GET /surprises?model=NAME: what a member has refused that the proxy
//	         should have known of, since the last time it was asked
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

	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

func main() { os.Exit(run()) }

// run takes the flags for antiphon as its arguments, after --.
func run() int {
	chained := flag.Bool("chained", false, "a second antiphon is the upstream of the first, which gets the flags")
	withZoo := flag.Bool("zoo", false, "all members of the zoo are behind antiphon, each under a name of its own")
	flag.Parse()
	defer harness.RemoveBinary()
	stage, err := harness.Open(harness.Options{Flags: flag.Args(), Chained: *chained, Zoo: *withZoo})
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
	mux.HandleFunc("GET /surprises", w.surprises)
	server := http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"url": stage.URL(), "model": stage.Model.URL, "control": "http://" + ln.Addr().String(), "zoo": members(stage.Zoo),
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

// member is a member of the zoo, as clients see it.
type member struct {
	Model string `json:"model"`
	Mode  string `json:"mode"`
	Tools bool   `json:"tools"`
}

func members(z *harness.Zoo) (list []member) {
	if z == nil {
		return nil
	}
	for _, m := range z.Members {
		list = append(list, member{m.Model, m.Mode, m.Family.NoTools == ""})
	}
	return list
}

// surprises answers with the refusals of a member of the zoo that should not have
// been.
func (w *watch) surprises(out http.ResponseWriter, in *http.Request) {
	list := []string{}
	if z := w.stage.Zoo; z != nil {
		if m := z.Member(in.FormValue("model")); m != nil {
			list = append(list, m.Surprises()...)
			m.Forget()
		}
	}
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(list)
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
