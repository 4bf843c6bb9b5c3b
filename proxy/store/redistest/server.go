// Package redistest runs a real redis-server or valkey-server for tests: on a
// free port of the loopback, with a directory of its own, and with the ways in
// which such a server fails.
//
// This is test support: nothing but tests imports it.
package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ServerEnv names a server to run instead of the first one that is installed.
const ServerEnv = "ANTIPHON_TEST_REDIS"

// Durable are the options of a server that loses nothing when it is killed.
var Durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// Server is a server process. Methods are for one goroutine.
type Server struct {
	// Addr is its host and port, the same after Restart.
	Addr string

	path, dir string
	config    string // of its configuration file; empty is none
	args      []string
	cmd       *exec.Cmd
	exited    chan struct{}
}

// Binary is the path of the server to run.
func Binary() (string, error) {
	if path := os.Getenv(ServerEnv); path != "" {
		return path, nil
	}
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("redistest: neither valkey-server nor redis-server is installed (Debian: redis-server)")
}

// Start starts a server and waits until it answers. It keeps nothing on disk
// unless the options, which are those of its command line, say so; see Durable.
// The server ends with Stop, or with this process.
func Start(options ...string) (*Server, error) { return start("", options...) }

// StartSentinel starts a sentinel that alone decides when a server, its primary,
// is down, and makes a replica of it the primary under the same name.
func StartSentinel(name string, primary *Server) (*Server, error) {
	host, port, _ := net.SplitHostPort(primary.Addr)
	config := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\n"+
		"sentinel down-after-milliseconds %[1]s 300\nsentinel failover-timeout %[1]s 3000\n", name, host, port)
	return start(config, "--sentinel")
}

func start(config string, options ...string) (*Server, error) {
	path, err := Binary()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		return nil, err
	}
	s := &Server{path: path, dir: dir, config: config, args: options}
	// The port is free when it is looked for, and perhaps not any more.
	for range 5 {
		if s.Addr, err = freeAddr(); err != nil {
			break
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	_ = os.RemoveAll(dir)
	return nil, err
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close() // only its address was wanted
	return ln.Addr().String(), nil
}

func (s *Server) run() error {
	_, port, _ := net.SplitHostPort(s.Addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--daemonize", "no"}
	if s.config == "" {
		args = append(args, "--save", "", "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0")
	} else {
		file := filepath.Join(s.dir, "config")
		if err := os.WriteFile(file, []byte(s.config), 0o600); err != nil {
			return err
		}
		args = append([]string{file}, args...)
	}
	s.cmd = exec.Command(s.path, append(args, s.args...)...) // later options win
	s.cmd.SysProcAttr = dieWithParent()
	out, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() // the server has its own descriptor
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(2 * time.Millisecond) {
		select {
		case <-s.exited:
			log, _ := os.ReadFile(s.LogFile())
			return fmt.Errorf("redistest: %s has ended: %.2000s", s.path, log)
		default:
		}
		if _, err := s.Do("PING"); err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return nil
		}
	}
	s.Kill()
	return errors.New("redistest: the server does not answer")
}

// URL is the address as clients take it.
func (s *Server) URL() string { return "redis://" + s.Addr }

// LogFile is where the server's output is.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "log") }

// Freeze stops the process without ending it: connections stay, nothing is
// answered. Thaw lets it go on, with all that was sent to it in between.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.exited
}

// Restart starts the server again after Kill, on the same port and with the
// same files, and waits until it answers.
func (s *Server) Restart() error { return s.run() }

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// Set changes an option of the running server (CONFIG SET).
func (s *Server) Set(option, value string) error {
	_, err := s.Do("CONFIG", "SET", option, value)
	return err
}

// Fill makes the server refuse writes for want of memory, as one at its
// maxmemory does; Drain ends that.
func (s *Server) Fill() error { return s.Set("maxmemory", "1") }

// Drain ends Fill.
func (s *Server) Drain() error { return s.Set("maxmemory", "0") }

// ReadOnly makes the server a replica of nobody who answers: it refuses writes
// (READONLY), keeps its data and goes on to serve reads. Promote makes it a
// primary again.
func (s *Server) ReadOnly() error {
	_, err := s.Do("REPLICAOF", "127.0.0.1", "1")
	return err
}

// Promote ends ReadOnly.
func (s *Server) Promote() error {
	_, err := s.Do("REPLICAOF", "NO", "ONE")
	return err
}

// Do sends one command on a connection of its own and returns the reply: of an
// array, its elements line by line.
func (s *Server) Do(args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close() // it has served
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	cmd := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		cmd = fmt.Appendf(cmd, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := conn.Write(cmd); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	}
	n, err := strconv.Atoi(rest)
	switch {
	case err != nil:
		return "", err
	case n < 0:
		return "", nil
	case kind == '$':
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case kind == '*':
		parts := make([]string, n)
		for i := range parts {
			if parts[i], err = readReply(r); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, "\n"), nil
	}
	return "", fmt.Errorf("redistest: reply %q", line)
}
