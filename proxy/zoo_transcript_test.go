package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestTranscriptsThroughTheProxy: what real servers have said, byte by byte, comes
// through the proxy as the API has it: with their preset, and when nothing is known of
// them. What they said decides about the outcome, not what is known.
func TestTranscriptsThroughTheProxy(t *testing.T) {
	t.Parallel()
	paths, _ := filepath.Glob("../testdata/transcripts/*.res.txt")
	if len(paths) < 100 {
		t.Fatalf("%d transcripts", len(paths))
	}
	for _, dialect := range []string{"preset", "generic"} {
		for family, prefix := range map[string]string{"llama.cpp": "llama-", "ollama": "ollama-"} {
			t.Run(family+"/"+dialect, func(t *testing.T) {
				t.Parallel()
				replayTranscripts(t, paths, prefix, map[string]string{"preset": family, "generic": "generic"}[dialect])
			})
		}
	}
}

func replayTranscripts(t *testing.T, paths []string, prefix, dialect string) {
	var script string
	up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return script })
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Dialect = dialect })
	played := 0
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".res.txt")
		if !strings.HasPrefix(name, prefix) || strings.HasSuffix(name, "rawframes") || strings.Contains(name, "killed-midstream") {
			continue // raw: with the framing of its own connection
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
		words := strings.Fields(string(head))
		if !ok || len(words) < 2 {
			continue
		}
		status, err := strconv.Atoi(words[1])
		if err != nil {
			continue
		}
		stream := bytes.Contains(bytes.ToLower(head), []byte("text/event-stream"))
		kind := "application/json"
		if stream {
			kind = "text/event-stream"
		}
		script = fmt.Sprintf("head %d %s length=%d\nraw %s\n", status, kind, len(body), strconv.Quote(string(body)))
		request := `{"model":"tiny-markov","input":"Hello","tools":[{"type":"function","name":"get_weather"},{"type":"function","name":"lookup"}]` +
			map[bool]string{true: `,"stream":true`}[stream] + `}`
		got := r.post(request)
		played++
		switch {
		case status != http.StatusOK && got.status < 400:
			t.Errorf("%s: status %d became %d", name, status, got.status)
		case stream && status == http.StatusOK && got.status != 200:
			t.Errorf("%s: a stream became %d", name, got.status)
		case got.status == 200:
			if v := got.response(t); v.Status == "" || v.Status == "in_progress" {
				t.Errorf("%s: %s", name, got.body)
			}
		}
	}
	if played < 30 {
		t.Errorf("only %d were played", played)
	}
}
