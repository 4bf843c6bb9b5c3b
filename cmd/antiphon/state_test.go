package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// antiphon runs a command line.
func antiphon(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// stateFile is a state file with a few responses, made as serve makes it.
func stateFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	st := openState(t, path)
	for _, id := range []string{"resp_1", "resp_2"} {
		if err := st.Put(t.Context(), &store.Record{
			Tenant: "t", ID: id, Expires: time.Now().Add(time.Hour), Response: bytes.Repeat([]byte("text"), 4000), ItemIDs: []string{"msg_" + id},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func openState(t *testing.T, path string) store.Store {
	t.Helper()
	cfg := config.Default()
	cfg.Store.Kind = "bolt:" + path
	core, logs := observer.New(zap.WarnLevel)
	st, err := openStore(cfg, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if n := logs.Len(); n > 0 {
		t.Errorf("%d warnings: %v", n, logs.All())
	}
	return st
}

func TestState(t *testing.T) {
	path := stateFile(t)
	for _, c := range []struct {
		args        []string
		code        int
		out, errOut string // each line must be there
	}{
		{[]string{"stats"}, exitOK, path + ": format 1\n  responses    2\n  documents    0\n", ""},
		{[]string{"check"}, exitOK, "  responses    2\nok: every page", ""},
		{[]string{"compact"}, exitOK, " KiB, was ", ""},
		{[]string{"check"}, exitOK, "ok: every page", ""},
		{[]string{"stats", "--json"}, exitOK, `"records": 2,`, ""},
		{[]string{"compact", "--json"}, exitOK, `"after_bytes":`, ""},
		{nil, exitUsage, "", `"" is nothing that can be done`},
		{[]string{"repair"}, exitUsage, "", `"repair" is nothing that can be done; it can be stats, check or compact`},
		{[]string{"check", "--store", "redis://localhost"}, exitUsage, "", `--store must be bolt:FILE, and is "redis://localhost"`},
		{[]string{"check", "--store", "bolt:" + path + ".not"}, exitError, "", "no such file"},
		{[]string{"compact", "--store", "bolt:" + path + ".not"}, exitError, "", "no such file"},
		{[]string{"check", "--store", "bolt:" + filepath.Dir(path)}, exitError, "", "no regular file"},
		{[]string{"check", "more"}, exitUsage, "", `"more" is not understood`},
	} {
		args := append([]string{"state"}, c.args...)
		if !strings.Contains(strings.Join(args, " "), "--store") && (len(args) < 3 || args[2] != "more") {
			args = append(args, "--store", "bolt:"+path)
		}
		code, out, errOut := antiphon(args...)
		if code != c.code {
			t.Errorf("%q: code %d, want %d\n%s%s", args, code, c.code, out, errOut)
		}
		for _, line := range strings.SplitAfter(c.out, "\n") {
			if !strings.Contains(out, line) {
				t.Errorf("%q prints\n%s without %q", args, out, line)
			}
		}
		if !strings.Contains(errOut, c.errOut) || c.errOut == "" && errOut != "" {
			t.Errorf("%q complains %q, want %q", args, errOut, c.errOut)
		}
	}
	if _, err := os.Stat(path + ".compact"); !os.IsNotExist(err) {
		t.Errorf("compact leaves its file: %v", err)
	}
}

// TestStateInUse: a file that is open is refused, and says so.
func TestStateInUse(t *testing.T) {
	path := stateFile(t)
	st := openState(t, path)
	defer st.Close()
	for _, action := range []string{"check", "compact"} {
		code, _, errOut := antiphon("state", action, "--store", "bolt:"+path)
		if code != exitError || !strings.Contains(errOut, path+" is in use by another process") {
			t.Errorf("%s: code %d, %q", action, code, errOut)
		}
	}
}

// TestStateDamaged: check finds a changed byte, says what it is in, and fails.
func TestStateDamaged(t *testing.T) {
	path := stateFile(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// What follows the names of a record's items is when it was created; pages
	// may have old copies.
	name, found := []byte("msg_resp_1"), 0
	for i := range b {
		if bytes.HasPrefix(b[i:], name) {
			b[i+len(name)+4] ^= 1
			found++
		}
	}
	if found == 0 {
		t.Fatal("the record is not in the file as expected")
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := antiphon("state", "check", "--store", "bolt:"+path)
	if code != exitError || !strings.Contains(out, "damaged:\n") || !strings.Contains(out, `"\x01tresp_1": its checksum is wrong`) || errOut != "" {
		t.Errorf("code %d\n%s%s", code, out, errOut)
	}
	code, out, _ = antiphon("state", "check", "--json", "--store", "bolt:"+path)
	var report stateReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitError || len(report.Problems) == 0 {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}
