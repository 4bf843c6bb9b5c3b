package config

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRootCAs(t *testing.T) {
	if pool, err := (&TLS{}).RootCAs(); pool != nil || err != nil {
		t.Errorf("no file: got %v, %v", pool, err)
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	f := func(text, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		pool, err := (&TLS{CAFile: path}).RootCAs()
		if want == "" && (err != nil || pool == nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, %v, want %q", pool, err, want)
		}
	}
	f(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), "")
	f("nothing", "has no certificate in PEM form")
	if _, err := (&TLS{CAFile: path + "x"}).RootCAs(); err == nil || !strings.Contains(err.Error(), "tls.ca_file") {
		t.Errorf("got %v", err)
	}
}
