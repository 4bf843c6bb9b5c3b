package harness

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Held is what a process holds at a moment.
type Held struct {
	Goroutines  int
	Descriptors int
}

func (h Held) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors", h.Goroutines, h.Descriptors)
}

// Held counts what the process holds now. Asking takes a connection itself,
// which is in both counts.
func (p *Process) Held() (h Held, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	resp, err := getOnce(ctx, "http://"+p.Admin+"/debug/pprof/goroutine?debug=1")
	if err != nil {
		return h, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return h, err
	}
	if h.Goroutines, err = goroutines(string(body)); err != nil {
		return h, err
	}
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.Pid()), "fd"))
	h.Descriptors = len(files)
	return h, err
}

// goroutines counts the goroutines of a profile, but not those that fasthttp
// keeps for ten seconds in case another connection comes: they hold nothing.
func goroutines(profile string) (n int, err error) {
	first, stacks, _ := strings.Cut(profile, "\n")
	_, total, _ := strings.Cut(first, "total ")
	if n, err = strconv.Atoi(total); err != nil {
		return 0, fmt.Errorf("goroutine profile begins with %q", first)
	}
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		if !strings.Contains(stack, "(*workerPool).workerFunc") || strings.Contains(stack, ").serveConn") {
			continue
		}
		count, _, _ := strings.Cut(stack, " @")
		waiting, err := strconv.Atoi(strings.TrimSpace(count))
		if err != nil {
			return 0, fmt.Errorf("goroutine profile has a stack that begins with %q", count)
		}
		n -= waiting
	}
	return n, nil
}

// Settle waits until the process holds no more than before, and a margin for the
// connection that asks. It returns what it holds in the end.
func (p *Process) Settle(before Held) (after Held, ok bool, err error) {
	const margin = 1
	for late := time.Now().Add(Patience); ; time.Sleep(200 * time.Millisecond) {
		after, err = p.Held()
		if err != nil {
			return after, false, err
		}
		if after.Goroutines <= before.Goroutines+margin && after.Descriptors <= before.Descriptors+margin {
			return after, true, nil
		}
		if time.Now().After(late) {
			return after, false, nil
		}
	}
}

// Goroutines returns what all goroutines of the process are doing.
func (p *Process) Goroutines() string {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	resp, err := getOnce(ctx, "http://"+p.Admin+"/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}
