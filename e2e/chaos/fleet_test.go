package chaos

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// fleet is some replicas on one store, in front of one model.
type fleet struct {
	t     *testing.T
	model *fakemodel.Server
	flags []string

	mu       sync.Mutex
	replicas []*harness.Process
}

// config is short of breath, so that what a process leaves behind is soon over.
const config = "background:\n  lease: 1s\n  workers: 16\n  queue: 4096\nlimits:\n  concurrency: 4096\n"

// newFleet starts so many replicas.
func newFleet(t *testing.T, replicas int, store string) *fleet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "antiphon.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	model, err := fakemodel.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	model.Play(quick, echo(0))
	model.Play(slow, echo(4))
	f := &fleet{t: t, model: model, flags: []string{"--store", store, "--config", file}, replicas: make([]*harness.Process, replicas)}
	for i := range replicas {
		f.start(i)
	}
	t.Cleanup(func() {
		for _, p := range f.replicas {
			for _, fault := range p.Stop() {
				t.Error(fault)
			}
		}
		for _, why := range model.Illegal() {
			t.Error("the model was sent an illegal request: " + why)
		}
	})
	return f
}

// start starts a replica, anew.
func (f *fleet) start(i int) {
	f.t.Helper()
	p, err := harness.StartProcess(f.model.URL, nil, f.flags...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[i] = p
}

// kill ends a replica at once, and looks for what it has said until then.
func (f *fleet) kill(i int) {
	f.mu.Lock()
	p := f.replicas[i]
	f.mu.Unlock()
	p.Kill()
	for _, fault := range p.Faults() {
		f.t.Error(fault)
	}
}

// any is the address of some replica.
func (f *fleet) any() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas[rand.IntN(len(f.replicas))].Addr
}
