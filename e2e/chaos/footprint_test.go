package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

// spoken is what both sides of a turn say: 1 KB that compresses to a half, as text
// does.
func spoken(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	var b strings.Builder
	for b.Len() < 1024 {
		fmt.Fprintf(&b, "%016x", r.Uint64())
	}
	return b.String()
}

// BenchmarkFootprint is what a stored turn of 2 KB costs a real process: resident
// memory, and room in the store. Give it a binary without the race detector.
func BenchmarkFootprint(b *testing.B) {
	model, err := fakemodel.Start()
	if err != nil {
		b.Fatal(err)
	}
	defer model.Close()
	model.Play(quick, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "{{user}}", Piece: 1 << 20}}})
	dir := b.TempDir()
	file := filepath.Join(dir, "state.db")
	server, err := redistest.Start(redistest.Durable...)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop()
	for _, kind := range []struct {
		name, store string
		room        func() int
	}{
		{"memory", "memory", func() int { return 0 }},
		{"bolt", "bolt:" + file, func() int {
			info, err := os.Stat(file)
			if err != nil {
				b.Fatal(err)
			}
			return int(info.Size())
		}},
		{"redis", server.URL(), func() int {
			info, err := server.Do("INFO", "memory")
			if err != nil {
				b.Fatal(err)
			}
			return field(info, "used_memory:")
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			p, err := harness.StartProcess(model.URL, nil, "--store", kind.store)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Stop()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
			defer client.CloseIdleConnections()
			n := 0
			turns := func(count int) {
				var all sync.WaitGroup
				for c := range clients {
					all.Go(func() {
						for i := n + c; i < n+count; i += clients {
							resp, err := client.Post("http://"+p.Addr+"/v1/responses", "application/json",
								strings.NewReader(fmt.Sprintf(`{"model":"%s","input":"%s"}`, quick, spoken(i))))
							if err != nil || resp.StatusCode != http.StatusOK {
								b.Error(err, resp)
								return
							}
							_ = resp.Body.Close()
						}
					})
				}
				all.Wait()
				n += count
			}
			turns(1000) // pools and caches fill, and the file has grown beyond its first size
			memory, room := resident(b, p.Pid()), kind.room()
			b.ResetTimer()
			turns(b.N)
			b.StopTimer()
			b.ReportMetric(float64(resident(b, p.Pid())-memory)/float64(b.N), "rss-B/turn")
			b.ReportMetric(float64(kind.room()-room)/float64(b.N), "store-B/turn")
		})
	}
}

// resident is the resident memory of a process, in bytes.
func resident(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	return field(string(status), "VmRSS:") * 1024
}

// field is the number behind a name, in lines of names and numbers.
func field(lines, name string) int {
	_, rest, _ := strings.Cut(lines, name)
	n, _ := strconv.Atoi(strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })[0])
	return n
}
