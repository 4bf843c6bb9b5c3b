package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

const (
	// chaosEnv has a process write instead of testing: "URL PREFIX".
	chaosEnv = "ANTIPHON_TEST_REDIS_WRITER"

	chaosWriters = 8
)

// killCycles is how often TestWriterKilled kills: 25 in every run, 200 in make
// chaos.
func killCycles() int {
	if n, err := strconv.Atoi(os.Getenv("ANTIPHON_CHAOS_CYCLES")); err == nil {
		return n
	}
	return 25
}

// chaosRecord and chaosBatch are what a writer writes as its nth: everything
// follows from the name.
func chaosRecord(writer string, n int) *store.Record {
	parent := ""
	if n > 0 {
		parent = fmt.Sprintf("%s_%d", writer, n-1)
	}
	rec := record(fmt.Sprintf("%s_%d", writer, n), parent, n%3*1000)
	rec.Created, rec.Expires = time.Unix(1_800_000_000, 0).UTC(), time.Unix(4_000_000_000, 0).UTC()
	return rec
}

func chaosBatch(writer string, n int) *store.Batch {
	rec := chaosRecord(writer, n)
	return &store.Batch{
		Records: []*store.Record{rec},
		Put:     []store.DocWrite{{Doc: &store.Doc{Kind: "chaos", Key: rec.ID, Body: []byte("document of " + rec.ID)}, If: store.Absent}},
		Append: []store.LogAppend{{Log: "log of " + writer, Entries: []store.Entry{
			{Key: rec.ID, Body: []byte("first of " + rec.ID)}, {Key: rec.ID + "'", Body: []byte("second of " + rec.ID)},
		}}},
	}
}

// writeUntilKilled says on its output what was confirmed: a writer and a number.
func writeUntilKilled(args string) {
	url, prefix, _ := strings.Cut(args, " ")
	s, err := Open(Options{URL: url, Prefix: prefix})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var all sync.WaitGroup
	for g := range chaosWriters {
		all.Go(func() {
			writer := fmt.Sprintf("p%d.%d", os.Getpid(), g)
			for n := 0; ; {
				err := s.Commit(context.Background(), tenant, chaosBatch(writer, n))
				switch {
				case err == nil, errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
					// The last two: carried out, although the answer was an error.
					_, _ = os.Stdout.WriteString(writer + " " + strconv.Itoa(n) + "\n") // one write, whole or not at all
					n++
				case errors.Is(err, store.ErrNotFound):
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				default:
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

// TestWriterKilled: a process that is killed at any moment leaves all that was
// confirmed to it, and nothing half-written; so does a server that writes
// everything to disk.
func TestWriterKilled(t *testing.T) {
	cycles := killCycles()
	server := own(t, redistest.Durable...)
	o := options(server)
	s := open(t, o)
	defer s.Close()
	prepare(t, s)
	confirmed, half := 0, 0
	for cycle := range cycles {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), chaosEnv+"="+o.URL+" "+o.Prefix)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		last := make(map[string]int) // of each writer
		lines := bufio.NewScanner(out)
		killed := false
		for lines.Scan() {
			if !killed {
				killed = true
				after := time.Duration(rand.IntN(100)) * time.Millisecond
				time.AfterFunc(after, func() {
					if cycle%5 == 4 {
						server.Kill()
						time.Sleep(10 * time.Millisecond)
					}
					_ = cmd.Process.Kill()
				})
			}
			writer, number, _ := strings.Cut(lines.Text(), " ")
			n, err := strconv.Atoi(number)
			must(t, err)
			last[writer] = n
			confirmed++
		}
		_ = cmd.Wait()
		if cycle%5 == 4 {
			must(t, server.Restart())
		}
		back(t, s)
		time.Sleep(20 * time.Millisecond) // until what was under way has arrived
		for writer, n := range last {
			for i := range n + 1 {
				if got := chaosParts(t, s, writer, i); got != 4 {
					t.Errorf("cycle %d: of %s_%d, which was confirmed, %d of 4 parts are there", cycle, writer, i, got)
				}
			}
			switch got := chaosParts(t, s, writer, n+1); got {
			case 4:
				half++
			case 0:
			default:
				t.Errorf("cycle %d: of %s_%d, which was not confirmed, %d of 4 parts are there", cycle, writer, n+1, got)
			}
			chain, err := s.Chain(t.Context(), tenant, fmt.Sprintf("%s_%d", writer, n))
			if err != nil || len(chain) != n+1 {
				t.Errorf("cycle %d: the chain of %s has %d records, %v", cycle, writer, len(chain), err)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cycles, %d writes confirmed, %d others carried out", cycles, confirmed, half)
	if confirmed < 4*cycles {
		t.Error("next to nothing was written: this proves nothing")
	}
}

// chaosParts counts what is there of a batch, each part as it was written.
func chaosParts(t *testing.T, s *Store, writer string, n int) (parts int) {
	t.Helper()
	want := chaosBatch(writer, n)
	count := func(what string, err error, equal bool) {
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			t.Errorf("%s_%d: %s: %v", writer, n, what, err)
		case !equal:
			t.Errorf("%s_%d: %s is not what was written", writer, n, what)
		default:
			parts++
		}
	}
	rec, err := s.Get(t.Context(), tenant, want.Records[0].ID)
	count("the record", err, reflect.DeepEqual(rec, want.Records[0]))
	doc, err := s.Doc(t.Context(), tenant, "chaos", want.Records[0].ID)
	count("the document", err, doc != nil && string(doc.Body) == string(want.Put[0].Doc.Body))
	for _, e := range want.Append[0].Entries {
		got, err := s.Entry(t.Context(), tenant, want.Append[0].Log, e.Key)
		count("an entry", err, got != nil && string(got.Body) == string(e.Body))
	}
	return parts
}
