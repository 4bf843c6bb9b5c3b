package bolt

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// TestDiskFull fills a real filesystem, where one can be mounted, and the limit
// of a process: what was acknowledged is there, and room makes writes work again.
func TestDiskFull(t *testing.T) {
	t.Run("limit", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=fill", childPath+"="+path, childFrom+"=0", childLimit+"=700000")
		out, err := cmd.CombinedOutput()
		var n int
		if _, scanErr := fmt.Sscanf(string(out), "full %d", &n); err != nil || scanErr != nil || n < 10 {
			t.Fatalf("%v, %s", err, out)
		}
		s := open(t, Options{Path: path})
		defer s.Close()
		for i := range n {
			want := killRecord(2*i + 1)
			want.Tenant, want.ID = "f", "resp_f"+strconv.Itoa(i)
			if got, err := s.Get(t.Context(), want.Tenant, want.ID); err != nil || !equal(got, want) {
				t.Fatalf("record %d of %d: %v", i, n, err)
			}
		}
		if err := s.Put(t.Context(), killRecord(1)); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Logf("no filesystem of our own: %v", err)
		return
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	clock := storetest.NewClock()
	path := filepath.Join(dir, "state.db")
	s := open(t, Options{Path: path, Now: clock.Now})
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		if err := s.Put(t.Context(), noise(clock, strconv.Itoa(n), 20_000, time.Hour)); err != nil {
			if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), path) {
				t.Fatalf("the disk is full: %v", err)
			}
			break
		}
	}
	check := func() {
		t.Helper()
		for i := range n {
			if _, err := s.Get(t.Context(), "t", strconv.Itoa(i)); err != nil {
				t.Fatalf("record %d of %d: %v", i, n, err)
			}
		}
	}
	check()
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), noise(clock, "more", 20_000, time.Hour)); err != nil {
		t.Errorf("without a restart, with room again: %v", err)
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// The same filesystem, read-only.
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a read-only filesystem: %v", err)
	}
}
