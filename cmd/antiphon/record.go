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
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/antiphon-proxy/antiphon/config"
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
	ar := &txtar.Archive{Comment: fmt.Appendf(nil, "Recorded as %s, for testdata/cases/%s.\n\n", r.RequestID, arrow)}
	add := func(name string, data []byte) {
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(slices.Clip(data), '\n')
		}
		ar.Files = append(ar.Files, txtar.File{Name: name, Data: data})
	}
	var options strings.Builder
	if r.Dialect != "generic" {
		fmt.Fprintf(&options, "dialect: %s\n", r.Dialect)
	}
	for _, f := range r.Facts {
		fmt.Fprintf(&options, "set: %s\n", f)
	}
	if r.Model != "" {
		fmt.Fprintf(&options, "model: %s\n", r.Model)
	}
	if r.Strict {
		options.WriteString("loss: strict\n")
	}
	if r.NamePrefix {
		options.WriteString("name_prefix: true\n")
	}
	if r.FinalOnly {
		options.WriteString("final_only: true\n")
	}
	if options.Len() > 0 {
		add("options", []byte(options.String()))
	}
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
	return txtar.Format(ar)
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
