package ollama

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that should take a moment: the machine may be busy.
const patience = 60 * time.Second

// process is a running server, with everything that it has written.
type process struct {
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{}
	err  error // of Wait, once done is closed
}

func start(name string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.out.changed = sync.NewCond(&p.out.mu)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.out.read(r)
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close()
		close(p.done)
	}()
	return p, nil
}

// await returns the first line with a text from line number from on, and the number after it.
func (p *process) await(from int, text string) (line string, next int, err error) {
	timer := time.AfterFunc(patience, p.out.wake)
	defer timer.Stop()
	o := &p.out
	deadline := time.Now().Add(patience)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for ; from < len(o.lines); from++ {
			if strings.Contains(o.lines[from], text) {
				return o.lines[from], from + 1, nil
			}
		}
		if o.ended || !time.Now().Before(deadline) {
			return "", from, fmt.Errorf("%s has not said %q:\n%s", p.name, text, strings.Join(o.lines[max(0, len(o.lines)-20):], "\n"))
		}
		o.changed.Wait()
	}
}

// stop ends the process as an operator would, and says what was wrong with its life.
func (p *process) stop() (faults []string) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return []string{p.name + " did not end after SIGTERM\n" + p.out.tail(20)}
	}
	if p.err != nil {
		faults = append(faults, fmt.Sprintf("%s has ended with %v\n%s", p.name, p.err, p.out.tail(20)))
	}
	return faults
}

// output is what a process has written, by lines.
type output struct {
	mu      sync.Mutex
	changed *sync.Cond
	lines   []string
	ended   bool
}

func (o *output) read(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		o.mu.Lock()
		o.lines = append(o.lines, s.Text())
		o.changed.Broadcast()
		o.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line that is too long must not block the process
	o.mu.Lock()
	o.ended = true
	o.changed.Broadcast()
	o.mu.Unlock()
}

func (o *output) wake() {
	o.mu.Lock()
	o.changed.Broadcast()
	o.mu.Unlock()
}

// count is the number of lines so far.
func (o *output) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lines)
}

func (o *output) tail(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines[max(0, len(o.lines)-n):], "\n")
}

// grep returns the lines with any of the texts, each with a few that follow.
func (o *output) grep(texts ...string) (found []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, line := range o.lines {
		for _, text := range texts {
			if strings.Contains(line, text) {
				found = append(found, strings.Join(o.lines[i:min(len(o.lines), i+40)], "\n"))
				break
			}
		}
	}
	return found
}

// showLogs prints the end of the servers' logs when a test has failed.
func showLogs(t *testing.T, list ...*process) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, p := range list {
			t.Logf("the end of %s's log:\n%s", p.name, p.out.tail(12))
		}
	})
}
