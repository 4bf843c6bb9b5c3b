package ollama

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/e2e/ollama/ggufmake"
)

// The binaries, which run.sh builds. Without run.sh they are looked for where it puts them.
var (
	serverBinary   = binary("OLLAMA_E2E_SERVER", "ollama")
	antiphonBinary = binary("OLLAMA_E2E_ANTIPHON", "antiphon")
)

func binary(env, name string) string {
	if path := os.Getenv(env); path != "" {
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", ".cache", "ollama", name))
	if err != nil {
		return name
	}
	return path
}

// The servers of all tests.
var (
	ollama *process
	direct string // ollama's URL

	byName    proxy // antiphon with --dialect ollama
	byDefault proxy // antiphon that was told nothing, and knows nothing about ollama's port
	strict    proxy // byName with --loss strict
)

// proxy is a running antiphon.
type proxy struct {
	*process
	url     string
	dialect string // the one it has chosen
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "antiphon-ollama-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	err = open(dir)
	if err == nil {
		code = m.Run()
	}
	for _, fault := range closeAll() {
		fmt.Fprintln(os.Stderr, "FAIL:", fault)
		code = 1
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	return code
}

func open(dir string) error {
	for _, path := range []string{serverBinary, antiphonBinary} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w; run.sh builds what the tests need", err)
		}
	}
	if err := openOllama(dir); err != nil {
		return err
	}
	for _, x := range []struct {
		p     *proxy
		flags []string
	}{
		{&byName, []string{"--dialect", "ollama"}},
		{&byDefault, nil},
		{&strict, []string{"--dialect", "ollama", "--loss", "strict"}},
	} {
		var err error
		if *x.p, err = openProxy(direct, x.flags...); err != nil {
			return err
		}
	}
	return nil
}

// openOllama starts the server in a directory of its own, and gives it the models.
func openOllama(dir string) (err error) {
	env := []string{
		"HOME=" + dir, "OLLAMA_MODELS=" + filepath.Join(dir, "models"), "OLLAMA_HOST=127.0.0.1:0", "OLLAMA_NO_CLOUD=1",
		"OLLAMA_MAX_LOADED_MODELS=" + strconv.Itoa(len(ggufmake.Kinds)), // else they take turns in memory
		"OLLAMA_KEEP_ALIVE=-1",
		"OLLAMA_NUM_PARALLEL=1", // a request that is still running holds up the next
	}
	if ollama, err = start("ollama", env, serverBinary, "serve"); err != nil {
		return err
	}
	line, _, err := ollama.await(0, "Listening on ")
	if err != nil {
		return err
	}
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	direct = "http://" + address
	for _, kind := range ggufmake.Kinds {
		data, err := ggufmake.Make(kind)
		if err != nil {
			return err
		}
		model := filepath.Join(dir, string(kind)+".gguf")
		modelfile := filepath.Join(dir, "Modelfile."+string(kind))
		err = errors.Join(os.WriteFile(model, data, 0o600),
			os.WriteFile(modelfile, []byte(ggufmake.Modelfile(kind, model)), 0o600))
		if err != nil {
			return err
		}
		cmd := exec.Command(serverBinary, "create", name(kind), "-f", modelfile)
		cmd.Env = append(os.Environ(), append(env, "OLLAMA_HOST="+address)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ollama create %s: %w\n%s", name(kind), err, out)
		}
	}
	return nil
}

// name is what ollama calls a model.
func name(kind ggufmake.Kind) string { return "tiny-" + string(kind) }

// The models.
var (
	markov  = name(ggufmake.Markov)
	think   = name(ggufmake.Think)
	tools   = name(ggufmake.Tools)
	recall  = name(ggufmake.Recall)
	endless = name(ggufmake.Endless)
)

// opened are the proxies to stop at the end.
var opened []proxy

func openProxy(upstream string, flags ...string) (proxy, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "debug", "--upstream", upstream}, flags...)
	p, err := start("antiphon "+strings.Join(flags, " "), []string{"GORACE=halt_on_error=0 atexit_sleep_ms=0"}, antiphonBinary, args...)
	if err != nil {
		return proxy{}, err
	}
	x := proxy{process: p}
	opened = append(opened, x)
	line, _, err := p.await(0, `"started"`)
	if err != nil {
		return proxy{}, err
	}
	var begin struct{ Listen, Dialect string }
	if err := json.Unmarshal([]byte(line), &begin); err != nil {
		return proxy{}, err
	}
	x.url, x.dialect = "http://"+begin.Listen, begin.Dialect
	return x, nil
}

// closeAll stops everything, the proxies first, and says what was wrong.
func closeAll() (faults []string) {
	http.DefaultClient.CloseIdleConnections()
	for _, p := range opened {
		faults = append(faults, p.stop()...)
		faults = append(faults, p.out.grep("DATA RACE", "contained a fault", "panic:")...)
	}
	if ollama == nil {
		return faults
	}
	runners := runners()
	faults = append(faults, ollama.stop()...)
	for _, pid := range runners {
		if _, err := os.Stat(procDir(pid)); err == nil {
			faults = append(faults, fmt.Sprintf("ollama's runner %d has outlived it", pid))
		}
	}
	return faults
}

func procDir(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid)) }

// runners are the processes in which ollama runs models.
func runners() (pids []int) {
	children, err := os.ReadFile(filepath.Join(procDir(ollama.cmd.Process.Pid), "task", strconv.Itoa(ollama.cmd.Process.Pid), "children"))
	if err == nil && len(children) > 0 {
		for _, f := range strings.Fields(string(children)) {
			pid, _ := strconv.Atoi(f)
			pids = append(pids, pid)
		}
		return pids
	}
	// A child belongs to the thread that started it, so this looks at all processes.
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(procDir(pid), "stat"))
		if err != nil {
			continue
		}
		// pid (name) state ppid …; a name may have blanks and parentheses
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(ollama.cmd.Process.Pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// relay makes ollama reachable on its usual port, from which antiphon knows it, and returns the URL. Where the port is
// taken on one of the machine's addresses, it is free on the other.
func relay(t *testing.T) (url string) {
	t.Helper()
	var ln net.Listener
	var faults []error
	for _, address := range []string{"127.0.0.1:11434", "[::1]:11434"} {
		l, err := net.Listen("tcp", address)
		if err == nil {
			ln, url = l, "http://"+address
			break
		}
		faults = append(faults, err)
	}
	if ln == nil {
		t.Fatalf("ollama's port is taken on both addresses, so what antiphon makes of it cannot be tested: %v", faults)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			go pipe(from, strings.TrimPrefix(direct, "http://"))
		}
	}()
	return url
}

// pipe joins a connection with one to an address, until either ends.
func pipe(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := pair[0].Read(buf)
				if n > 0 {
					if _, werr := pair[1].Write(buf[:n]); werr != nil {
						break
					}
				}
				if err != nil {
					break
				}
			}
			done <- struct{}{}
		}()
	}
	<-done
}
