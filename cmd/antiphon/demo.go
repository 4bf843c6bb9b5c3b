package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
)

// runDemo runs the proxy in front of the demo backend, shows three exchanges
// from both sides, and stays up to be played with.
func runDemo(c *command, args []string, stdout, stderr io.Writer) int {
	listen, once := config.DefaultListen, false
	if code, ok := c.flags(args, stdout, stderr, func(fs *flag.FlagSet) {
		fs.StringVar(&listen, "listen", listen, "address of the proxy")
		fs.BoolVar(&once, "once", false, "stop after the exchanges")
	}); !ok {
		return code
	}
	backend := &demoBackend{pace: 15 * time.Millisecond}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(stderr, "antiphon demo:", err)
		return exitError
	}
	server := &http.Server{Handler: backend.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }()
	defer server.Close() // it goes with the process

	cfg, err := config.Parse("demo", nil,
		config.Override{Key: "listen", Value: listen, Source: "--listen"},
		config.Override{Key: "upstream.url", Value: "http://" + ln.Addr().String(), Source: "demo"},
		config.Override{Key: "log.level", Value: "error", Source: "demo"})
	if err != nil {
		fmt.Fprintln(stderr, "antiphon demo:", err)
		return exitUsage
	}
	signals, stop := make(chan os.Signal, 2), make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	var ending atomic.Bool // somebody has seen enough, maybe in the middle of an exchange
	go func() {
		for sig := range signals {
			ending.Store(true)
			stop <- sig
		}
	}()
	code := exitOK
	err = serve(cfg, stderr, stop, func(addr net.Addr) {
		go func() {
			d := demo{out: stdout, base: "http://" + addr.String(), backend: backend}
			if err := d.show(); err != nil && !ending.Load() {
				fmt.Fprintln(stderr, "antiphon demo:", err)
				code = exitError
				once = true
			}
			switch {
			case once:
				stop <- os.Interrupt
			case !ending.Load():
				d.invite()
			}
		}()
	}, nil)
	if err != nil {
		fmt.Fprintln(stderr, "antiphon demo:", err)
		return exitError
	}
	return code
}

// demo shows exchanges.
type demo struct {
	out     io.Writer
	base    string
	backend *demoBackend
}

func (d *demo) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

func (d *demo) show() error {
	d.printf("The proxy listens at %s. Behind it is a backend that only knows /v1/chat/completions.\n", d.base)

	d.title("1. A streamed answer")
	if _, err := d.exchange(`{"model":"demo-thinking","input":"Hello there!","stream":true}`); err != nil {
		return err
	}

	d.title("2. A tool call, and its result")
	tool := `{"type":"function","name":"get_weather","description":"The weather in a city.",` +
		`"parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}`
	first, err := d.exchange(`{"model":"demo","input":"What is the weather like?","stream":true,"tools":[` + tool + `]}`)
	if err != nil {
		return err
	}
	var call struct{ CallID string }
	for _, item := range first.Output {
		if item.Type == "function_call" {
			call.CallID = item.CallID
		}
	}
	if call.CallID == "" {
		return fmt.Errorf("the model made no call: %+v", first)
	}
	if _, err = d.exchange(`{"model":"demo","previous_response_id":"` + first.ID + `","stream":true,"input":[` +
		`{"type":"function_call_output","call_id":"` + call.CallID + `","output":"21 °C and sunny"}]}`); err != nil {
		return err
	}

	d.title("3. A conversation, continued by previous_response_id")
	first, err = d.exchange(`{"model":"demo","input":"My name is Ada.","stream":true}`)
	if err != nil {
		return err
	}
	last, err := d.exchange(`{"model":"demo","input":"What is my name?","previous_response_id":"` + first.ID + `","stream":true}`)
	if err != nil {
		return err
	}
	if !strings.Contains(last.text(), "Ada") {
		return fmt.Errorf("the conversation was lost: %q", last.text())
	}
	return nil
}

// title is bold on a terminal.
func (d *demo) title(s string) {
	if f, ok := d.out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			s = "\033[1m" + s + "\033[0m"
		}
	}
	d.printf("\n%s\n", s)
}

// demoResponse is what the demo looks at in a response.
type demoResponse struct {
	ID     string
	Output []struct {
		Type    string
		CallID  string `json:"call_id"`
		Content []struct{ Text string }
	}
}

func (r *demoResponse) text() (all string) {
	for _, item := range r.Output {
		for _, part := range item.Content {
			all += part.Text
		}
	}
	return all
}

// columnWidth is how wide each of the two columns of requests is.
const columnWidth = 58

// exchange sends a request, and shows what goes in, what reaches the backend,
// and what comes out.
func (d *demo) exchange(body string) (*demoResponse, error) {
	resp, err := http.Post(d.base+"/v1/responses", "application/json", strings.NewReader(body)) // a demo
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var events []string
	var final struct{ Response demoResponse }
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		data, ok := strings.CutPrefix(scan.Text(), "data: ")
		if !ok {
			continue
		}
		events = append(events, eventLine(data))
		if strings.Contains(data, `"type":"response.completed"`) {
			if err := json.Unmarshal([]byte(data), &final); err != nil {
				return nil, err
			}
		}
	}
	if resp.StatusCode != http.StatusOK || final.Response.ID == "" {
		return nil, fmt.Errorf("status %d without a completed response", resp.StatusCode)
	}
	d.printf("\n")
	left := append([]string{"POST /v1/responses (the client)", ""}, indented(body)...)
	right := append([]string{"POST /v1/chat/completions (the backend)", ""}, indented(string(d.backend.lastRequest()))...)
	for _, line := range sideBySide(left, right, columnWidth) {
		d.printf("%s\n", line)
	}
	d.printf("\n  events to the client\n")
	for _, e := range folded(events) {
		d.printf("    %s\n", e)
	}
	return &final.Response, nil
}

func indented(raw string) []string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(raw), "", " ") != nil {
		return []string{raw}
	}
	return strings.Split(b.String(), "\n")
}

// eventLine is an event in one line: its type, and what it adds.
func eventLine(data string) string {
	var e struct {
		Type  string
		Delta *string
	}
	_ = json.Unmarshal([]byte(data), &e)
	if e.Delta != nil {
		return fmt.Sprintf("%s\x00%s", e.Type, *e.Delta)
	}
	return e.Type
}

// folded puts the deltas of a row into one line.
func folded(events []string) (out []string) {
	for i := 0; i < len(events); i++ {
		typ, delta, isDelta := strings.Cut(events[i], "\x00")
		if !isDelta {
			out = append(out, typ)
			continue
		}
		deltas := []string{fmt.Sprintf("%q", delta)}
		for i+1 < len(events) && strings.HasPrefix(events[i+1], typ+"\x00") {
			i++
			_, delta, _ = strings.Cut(events[i], "\x00")
			deltas = append(deltas, fmt.Sprintf("%q", delta))
		}
		out = append(out, clipTo(fmt.Sprintf("%s ×%d  %s", typ, len(deltas), strings.Join(deltas, " ")), 2*columnWidth))
	}
	return out
}

// invite says how to go on.
func (d *demo) invite() {
	d.title("Now you")
	d.printf(`
The proxy stays up; end it with Ctrl-C. In another terminal:

  curl -N %[1]s/v1/responses -d '{"model":"demo","input":"Hi!","stream":true}'
  curl    %[1]s/v1/responses -d '{"model":"demo","input":"Hi!"}'
  curl    %[1]s/v1/responses/RESPONSE_ID
  curl    %[1]s/v1/models

Or with an SDK: OPENAI_BASE_URL=%[1]s/v1 OPENAI_API_KEY=none

With a backend of your own: antiphon serve --upstream http://127.0.0.1:8000
`, d.base)
}
