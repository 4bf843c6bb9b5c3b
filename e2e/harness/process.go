package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience is how long the harness waits for anything. It is generous: the
// machine may be busy with other things.
const Patience = 60 * time.Second

// Process is a running antiphon.
type Process struct {
	Addr  string // of the API
	Admin string // of the admin listener

	cmd    *exec.Cmd
	log    log
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// StartProcess starts antiphon serve in front of an upstream, with more
// environment and flags, and waits until it is ready.
func StartProcess(upstream string, env []string, flags ...string) (*Process, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	p := &Process{exited: make(chan struct{})}
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", upstream}, flags...)
	p.cmd = exec.Command(binary, args...) // our own binary
	p.cmd.Env = append(append(os.Environ(), "GORACE=halt_on_error=0 atexit_sleep_ms=0"), env...)
	started := make(chan [2]string, 1)
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start antiphon: %w", err)
	}
	go p.log.read(r, started)
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close()
		close(p.exited)
	}()
	select {
	case addrs := <-started:
		p.Addr, p.Admin = addrs[0], addrs[1]
	case <-p.exited:
		return nil, fmt.Errorf("antiphon has ended instead of starting: %w\n%s", p.err, p.log.tail(20))
	case <-time.After(Patience):
		p.Kill()
		return nil, fmt.Errorf("antiphon has not started\n%s", p.log.tail(20))
	}
	if err := p.awaitReady(); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// awaitReady waits until /readyz says so, on both listeners.
func (p *Process) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for _, addr := range []string{p.Addr, p.Admin} {
		for {
			resp, err := getOnce(ctx, "http://"+addr+"/readyz")
			if err == nil && resp.StatusCode == http.StatusOK {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("antiphon does not get ready: %w", errors.Join(err, ctx.Err()))
			case <-p.exited:
				return fmt.Errorf("antiphon has ended before it was ready: %w\n%s", p.err, p.log.tail(20))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Alive reports whether the process runs and answers.
func (p *Process) Alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	resp, err := getOnce(ctx, "http://"+p.Addr+"/healthz")
	return err == nil && resp.StatusCode == http.StatusOK
}

// Signal sends a signal to the process.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Wait waits for the process to end, and returns what was wrong with its life:
// an exit code that is not 0, races, panics.
func (p *Process) Wait() (faults []string) {
	select {
	case <-p.exited:
	case <-time.After(Patience):
		p.Kill()
		return []string{"antiphon did not end after SIGTERM\n" + p.log.tail(20)}
	}
	if p.err != nil {
		faults = append(faults, "antiphon has ended with "+p.err.Error()+"\n"+p.log.tail(20))
	}
	return append(faults, p.Faults()...)
}

// Faults returns the races and panics that the log tells of so far.
func (p *Process) Faults() []string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return slices.Clone(p.log.faults)
}

// Stop ends the process as an operator would, and returns what Wait does.
func (p *Process) Stop() (faults []string) {
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Log returns the last n lines of the log.
func (p *Process) Log(n int) string { return p.log.tail(n) }

// LogLines returns the lines of the log with a message, decoded.
func (p *Process) LogLines(msg string) (lines []map[string]any) {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	for _, line := range p.log.lines {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["msg"] == msg {
			lines = append(lines, m)
		}
	}
	return lines
}

// log is what the process has written to its outputs.
type log struct {
	mu     sync.Mutex
	lines  []string
	faults []string
}

// read takes in the log until it ends, and tells the addresses of the listeners.
func (l *log) read(r io.Reader, started chan<- [2]string) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		line := s.Text()
		l.add(line)
		var m struct{ Msg, Listen, Admin string }
		if json.Unmarshal([]byte(line), &m) == nil && m.Msg == "started" {
			started <- [2]string{m.Listen, m.Admin}
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line that is too long must not block the process
}

// maxFaultLines bounds how much of a race or panic is quoted.
const maxFaultLines = 60

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	switch {
	case strings.Contains(line, "DATA RACE"), strings.HasPrefix(line, "panic:"), strings.HasPrefix(line, "fatal error:"),
		strings.Contains(line, "contained a fault of the program"):
		after := l.lines[len(l.lines)-1:]
		l.faults = append(l.faults, "antiphon: "+strings.Join(after, "\n"))
	case len(l.faults) > 0 && !strings.HasPrefix(line, "{") && strings.Count(l.faults[len(l.faults)-1], "\n") < maxFaultLines:
		l.faults[len(l.faults)-1] += "\n" + line
	}
}

func (l *log) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-n):], "\n")
}

// getOnce fetches a small thing on a connection of its own.
func getOnce(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, err
}
