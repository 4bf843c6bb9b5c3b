package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/internal/goldencase"
	"github.com/antiphon-proxy/antiphon/proxy"
)

// runRecord is serve, with each translated exchange kept as a file: a bug report
// that is a test, because the file is a golden case (translate/golden_test.go).
func runRecord(c *command, args []string, stdout, stderr io.Writer) int {
	var flags config.Flags
	var out string
	var redact bool
	if code, ok := c.flags(args, stdout, stderr, func(fs *flag.FlagSet) {
		flags.Bind(fs)
		fs.StringVar(&out, "out", "recordings", "`directory` for the files, one an exchange")
		fs.BoolVar(&redact, "redact-contents", false, "put x in the place of letters in everything that was said")
	}); !ok {
		return code
	}
	cfg, err := flags.Load()
	if err == nil {
		err = os.MkdirAll(out, 0o700)
	}
	if err != nil {
		fmt.Fprintln(stderr, "antiphon record:", err)
		return exitUsage
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(stop)
	record := func(r *proxy.Recording) {
		if redact {
			redactRecording(r)
		}
		path := filepath.Join(out, r.RequestID+".txtar")
		if err := os.WriteFile(path, formatRecording(r), 0o600); err != nil {
			fmt.Fprintln(stderr, "antiphon record:", err)
			return
		}
		fmt.Fprintln(stderr, path)
	}
	if err := serve(cfg, stdout, stop, nil, record); err != nil {
		fmt.Fprintln(stderr, "antiphon record:", err)
		return exitError
	}
	return exitOK
}

// formatRecording writes a recording as a golden case without its output.
func formatRecording(r *proxy.Recording) []byte {
	arrow := "responses_chat"
	if r.Chat {
		arrow = "chat_responses"
	}
	c := &goldencase.Case{Comment: fmt.Appendf(nil, "Recorded as %s, for testdata/cases/%s.\n\n", r.RequestID, arrow)}
	add := func(name string, data []byte) {
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(slices.Clip(data), '\n')
		}
		c.Files = append(c.Files, goldencase.File{Name: name, Data: data})
	}
	options := goldencase.Options{Dialect: r.Dialect, Model: r.Model, NamePrefix: r.NamePrefix, FinalOnly: r.FinalOnly}
	for _, f := range r.Facts {
		options.Set = append(options.Set, goldencase.Setting{Key: f.Key, Value: f.Value})
	}
	if r.Strict {
		options.Loss = "strict"
	}
	add("options", options.Format())
	if r.History != nil {
		add("history.json", r.History)
	}
	if r.References != nil {
		items := make([]json.RawMessage, len(r.References))
		for i := range r.References {
			items[i] = r.References[i]
		}
		body, _ := json.Marshal(items) // they were stored as JSON
		add("references.json", body)
	}
	add("client.json", oneLine(r.Client))
	switch {
	case r.Status == 0:
	case r.Status != http.StatusOK:
		add("upstream.err", fmt.Appendf(nil, "%d\n%s", r.Status, r.Reply))
	case r.Stream:
		add("upstream.sse", bytes.ReplaceAll(r.Reply, []byte("\r\n"), []byte("\n")))
	default:
		add("upstream.json", r.Reply)
	}
	return c.Format()
}

// oneLine takes the line ends out of JSON, in which a txtar file's markers could
// stand.
func oneLine(doc []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, doc) != nil {
		return doc
	}
	return b.Bytes()
}
