package bolt

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// killCycles is how often TestKilled kills: 25 in every run, 200 in make chaos.
func killCycles() int {
	if n, err := strconv.Atoi(os.Getenv("ANTIPHON_CHAOS_CYCLES")); err == nil {
		return n
	}
	return killCyclesShort
}

const killCyclesShort = 25

const (
	childEnv   = "BOLT_TEST_CHILD"    // what the process is to do
	childPath  = "BOLT_TEST_PATH"     // on which file
	childFrom  = "BOLT_TEST_FROM"     // the first number that was not used
	childLimit = "BOLT_TEST_FILESIZE" // RLIMIT_FSIZE
)

// child is the test binary when it was started to be killed.
func child() bool {
	what := os.Getenv(childEnv)
	if what == "" {
		return false
	}
	if err := runChild(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func runChild(what string) error {
	if n, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	s, err := Open(Options{Path: os.Getenv(childPath), SweepEvery: time.Millisecond})
	if err != nil {
		return err
	}
	from, err := strconv.Atoi(os.Getenv(childFrom))
	if err != nil {
		return err
	}
	if what == "fill" {
		return childFill(s)
	}
	return childWrite(s, from)
}

// killWriters write at the same time, so that groups form.
const killWriters = 16

// childWrite writes without end and says on stdout what was acknowledged, a line
// for each: "N kind".
func childWrite(s *Store, from int) error {
	var (
		mu  sync.Mutex
		out = os.Stdout
		all sync.WaitGroup
	)
	fmt.Fprintln(out, "ready")
	errs := make(chan error, killWriters)
	for w := range killWriters {
		all.Go(func() {
			for n := from + w; ; n += killWriters {
				what, err := killStep(s, n)
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				_, err = fmt.Fprintln(out, n, what)
				mu.Unlock()
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	return <-errs
}

// killRecord is the record of a number.
func killRecord(n int) *store.Record {
	rnd := rand.New(rand.NewPCG(uint64(n), 5))
	text := strings.Repeat(strconv.Itoa(n)+" ", 1+rnd.IntN(1500))
	head := fmt.Sprintf(`{"id":"resp_%d","text":%q,"output":`, n, text)
	output := fmt.Sprintf(`[{"id":"msg_%d"}]`, n)
	rec := &store.Record{
		Tenant: "t" + strconv.Itoa(n%3), ID: "resp_" + strconv.Itoa(n),
		Created: time.Unix(int64(n), 1).UTC(), Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		Response: []byte(head + output + "}"), Output: [2]int{len(head), len(head) + len(output)},
		Input: []byte(strconv.Quote(text)), ItemIDs: []string{"msg_" + strconv.Itoa(n)},
	}
	if n%2 == 0 { // and half of it expires, to keep the janitor at work
		rec.ID = "short_" + strconv.Itoa(n)
		rec.Expires = time.Now().Add(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
	return rec
}

// killBatch is a batch whose parts all tell the same number.
func killBatch(n int) *store.Batch {
	name := strconv.Itoa(n)
	rec := killRecord(2*n + 1)
	rec.Tenant, rec.ID, rec.ItemIDs = "b", "resp_b"+name, []string{"item_b" + name}
	return &store.Batch{
		Records: []*store.Record{rec},
		Put: []store.DocWrite{
			{Doc: &store.Doc{Kind: "pair", Key: "a" + name, Body: []byte(name)}, If: store.Absent},
			{Doc: &store.Doc{Kind: "pair", Key: "b" + name, Body: []byte(name)}, If: store.Absent},
			{Doc: &store.Doc{Kind: "last", Key: strconv.Itoa(n % killWriters), Body: []byte(name)}, If: store.AnyVersion},
		},
		Append: []store.LogAppend{{Log: strconv.Itoa(n % killWriters), Entries: []store.Entry{{Key: name, Body: []byte(name)}, {Body: []byte(name)}}}},
	}
}

// killStep is the write of a number.
func killStep(s *Store, n int) (what string, err error) {
	ctx := context.Background()
	switch n / killWriters % 4 {
	case 0, 1:
		return "put", s.Put(ctx, killRecord(n))
	case 2:
		return "commit", s.Commit(ctx, "b", killBatch(n))
	}
	// What was put is deleted: it must not come back.
	rec := killRecord(2*n + 1)
	rec.Tenant, rec.ID = "d", "resp_d"+strconv.Itoa(n)
	if err := s.Put(ctx, rec); err != nil {
		return "", err
	}
	return "delete", s.Delete(ctx, "d", rec.ID)
}

// TestKilled kills the process that writes, at a random moment, again and again.
// What it had acknowledged is there and equal; of what it had not, all or nothing.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	acked := make(map[int]string)
	next := 0
	cycles := killCycles()
	for cycle := range cycles {
		last := killOnce(t, path, next, acked)
		next = (last/killWriters + 2) * killWriters
		s := open(t, Options{Path: path, SweepEvery: time.Hour})
		checkKilled(t, s, acked, next, cycle == cycles-1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if report, err := Check(path); err != nil || len(report.Problems) > 0 {
			t.Fatalf("cycle %d: %v, %q", cycle, err, report.Problems)
		}
		if t.Failed() {
			t.Fatalf("in cycle %d", cycle)
		}
	}
	t.Logf("%d cycles, %d acknowledged writes, 0 lost", cycles, len(acked))
	if len(acked) < cycles {
		t.Error("next to nothing was written: this proves nothing")
	}
}

// killOnce runs a writer for a moment and returns the largest number it has used.
func killOnce(t *testing.T, path string, from int, acked map[int]string) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=write", childPath+"="+path, childFrom+"="+strconv.Itoa(from))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("the writer says %q, %v: %s", line, err, stderr.String())
	}
	// At a random moment of a random write, however slow the disk is.
	kill := func() { _ = cmd.Process.Kill() }
	defer time.AfterFunc(20*time.Second, kill).Stop()
	until, pause := rand.IntN(100), time.Duration(rand.IntN(5000))*time.Microsecond
	if until == 0 {
		time.AfterFunc(pause, kill)
	}
	for last = from; ; {
		line, err := lines.ReadString('\n')
		if err != nil { // a part of a line was not acknowledged
			break
		}
		var n int
		var what string
		if _, err := fmt.Sscan(line, &n, &what); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		acked[n] = what
		last = max(last, n)
		if until--; until == 0 {
			time.AfterFunc(pause, kill)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("the writer: %s", stderr.String())
	}
	return last
}

// checkKilled looks at what the last cycle has left, or at all.
func checkKilled(t *testing.T, s *Store, acked map[int]string, next int, all bool) {
	t.Helper()
	ctx := t.Context()
	first := max(0, next-40*killWriters)
	if all {
		first = 0
	}
	for n := first; n < next; n++ {
		what := acked[n]
		switch n / killWriters % 4 {
		case 0, 1:
			want := killRecord(n)
			got, err := s.Get(ctx, want.Tenant, want.ID)
			if n%2 == 0 {
				continue // has expired, or will
			}
			if what != "" && err != nil || err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("record %d (%s): %v", n, what, err)
			} else if err == nil && !equal(got, want) {
				t.Errorf("record %d is not equal", n)
			}
		case 2:
			checkBatch(t, s, n, what != "")
		case 3:
			if _, err := s.Get(ctx, "d", "resp_d"+strconv.Itoa(n)); what != "" && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("record %d was deleted: %v", n, err)
			}
		}
	}
}

func checkBatch(t *testing.T, s *Store, n int, acked bool) {
	t.Helper()
	ctx, b, name := t.Context(), killBatch(n), strconv.Itoa(n)
	there := 0
	see := func(err error, ok bool) {
		t.Helper()
		switch {
		case err == nil && ok:
			there++
		case err == nil:
			t.Errorf("batch %d: something is not equal", n)
		case !errors.Is(err, store.ErrNotFound):
			t.Errorf("batch %d: %v", n, err)
		}
	}
	a, err := s.Doc(ctx, "b", "pair", "a"+name)
	see(err, err != nil || string(a.Body) == name)
	d, err := s.Doc(ctx, "b", "pair", "b"+name)
	see(err, err != nil || string(d.Body) == name)
	e, err := s.Entry(ctx, "b", strconv.Itoa(n%killWriters), name)
	see(err, err != nil || string(e.Body) == name)
	rec, err := s.Get(ctx, "b", b.Records[0].ID)
	see(err, err != nil || equal(rec, b.Records[0]))
	rec, err = s.Item(ctx, "b", b.Records[0].ItemIDs[0])
	see(err, err != nil || equal(rec, b.Records[0]))
	if there != 5 && (there != 0 || acked) {
		t.Errorf("batch %d: %d of 5 changes are there; acknowledged: %v", n, there, acked)
	}
}

// equal compares records by all they hold. Records of killRecord with an odd
// number have fixed times.
func equal(got, want *store.Record) bool {
	a, errA := json.Marshal(got)
	b, errB := json.Marshal(want)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// childFill writes until there is no room, and says what was acknowledged.
func childFill(s *Store) error {
	for n := 0; ; n++ {
		rec := killRecord(2*n + 1)
		rec.Tenant, rec.ID = "f", "resp_f"+strconv.Itoa(n)
		err := s.Put(context.Background(), rec)
		if errors.Is(err, store.ErrFull) {
			fmt.Println("full", n)
			return s.Close()
		}
		if err != nil {
			return err
		}
	}
}
