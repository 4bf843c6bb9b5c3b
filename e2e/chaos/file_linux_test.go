package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestFileUnderLoad: the file of the store cannot grow any more while clients are
// at work. Answers stream and say that they are not stored, reads work, and all
// is well as soon as there is room, without a restart.
func TestFileUnderLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	f := newFleet(t, 1, "bolt:"+file)
	l := newLoad(t, f)
	l.roomy, l.noEvents = true, true
	for range 2 {
		l.work(func() {
			before := l.probes(true, 200)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			limitFileSize(t, f.replicas[0].Pid(), uint64(info.Size()))
			l.fill()
			during := l.probes(false, 200)
			limitFileSize(t, f.replicas[0].Pid(), ^uint64(0))
			took := l.recovers()
			t.Logf("full: an answer takes %v, then %v; stored again after %v", median(before), median(during), took)
			if limit := median(before) + storeDeadline + noise; median(during) > limit {
				t.Errorf("an answer takes %v, before it was %v", median(during), median(before))
			}
			if took > comesBack {
				t.Errorf("stored again after %v", took)
			}
		})
		l.verify(false)
	}
	l.settle()
	l.verify(true)
	t.Logf("%d answers, %d of them not stored; %d looks, 0 lost", l.answers.Load(), l.unstored.Load(), l.verified.Load())
}

// fill stores what is large until there is no room, not even for what is small.
func (l *load) fill() {
	l.t.Helper()
	for size, refused, start := 64<<10, 0, time.Now(); refused < 3; {
		var text strings.Builder
		for text.Len() < size {
			fmt.Fprintf(&text, "%016x", rand.Uint64())
		}
		a := l.call(l.fleet.any(), http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","input":"%s"}`, quick, text.String()))
		if a.status != http.StatusOK {
			l.t.Fatalf("no answer: %d %v %.300s", a.status, a.err, a.body)
		}
		switch o := l.keep(a.body, text.String(), 0); {
		case o.Store:
			refused = 0
		case size > 64:
			size /= 4
		default:
			refused++
		}
		if time.Since(start) > patience {
			l.t.Fatal("the file is never full")
		}
	}
}

// limitFileSize says how large a file of a running process may become.
func limitFileSize(t *testing.T, pid int, most uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: most, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), rlimitFileSize, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}

const rlimitFileSize = 1 // RLIMIT_FSIZE of the kernel
