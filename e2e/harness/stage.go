package harness

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// Stage is everything that a test needs: a model, the binary in front of it, and
// the tap in front of that.
type Stage struct {
	Model *fakemodel.Server
	Proxy *Process
	Tap   *Tap

	Zoo *Zoo // with Options.Zoo: what stands behind the proxy besides the model

	behind    *Process // of a chain: what Proxy has as its upstream
	behindTap *Tap
	options   Options
}

// Options change a stage.
type Options struct {
	// Flags are more flags for antiphon serve.
	Flags []string

	// Env is added to the environment of antiphon: NAME=value.
	Env []string

	// Upstream is the URL of the upstream, for something between antiphon and
	// the model.
	Upstream func(model *fakemodel.Server) (url string, err error)

	// Chained puts a second antiphon between the first and the model, so that
	// the first has an upstream that speaks Responses. Chat completions then go
	// through both translations: chat → responses → chat. Flags are for the first.
	Chained bool

	// Zoo puts all members of the zoo behind the proxy, each under a name of its own.
	Zoo bool

	// Streams says what is legal in a stream.
	Streams streamcheck.Options

	// IllegalRequests permits requests to the model that OpenAI would refuse.
	IllegalRequests bool
}

// Open sets a stage up. Close it when the test is over.
func Open(opt Options) (*Stage, error) {
	model, err := fakemodel.Start()
	if err != nil {
		return nil, err
	}
	s := &Stage{Model: model, options: opt}
	upstream := model.URL
	if opt.Upstream != nil {
		if upstream, err = opt.Upstream(model); err != nil {
			s.kill()
			return nil, err
		}
	}
	flags := opt.Flags
	if opt.Zoo {
		z, more, err := OpenZoo()
		if err != nil {
			s.kill()
			return nil, err
		}
		s.Zoo, flags = z, append(more, flags...)
	}
	if opt.Chained {
		if s.behind, err = StartProcess(upstream, opt.Env); err == nil {
			s.behindTap, err = NewTap(s.behind.Addr)
		}
		if err != nil {
			s.kill()
			return nil, err
		}
		upstream = "http://" + s.behindTap.Addr()
		flags = append([]string{"--upstream-api", "responses"}, flags...)
	}
	if s.Proxy, err = StartProcess(upstream, opt.Env, flags...); err == nil {
		s.Tap, err = NewTap(s.Proxy.Addr)
	}
	if err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// kill ends what has been started of a stage that cannot be opened.
func (s *Stage) kill() {
	for _, p := range []*Process{s.Proxy, s.behind} {
		if p != nil {
			p.Kill()
		}
	}
	if s.behindTap != nil {
		s.behindTap.Close()
	}
	if s.Zoo != nil {
		s.Zoo.Close()
	}
	s.Model.Close()
}

// URL is the base URL for clients, with /v1.
func (s *Stage) URL() string { return "http://" + s.Tap.Addr() + "/v1" }

// Check returns what is wrong so far.
func (s *Stage) Check() (faults []string) {
	faults = Check(s.Tap.Exchanges(), s.options.Streams, s.options.Chained)
	if s.options.Chained {
		for _, fault := range Check(s.Between(), s.options.Streams, false) {
			faults = append(faults, "between the two: "+fault)
		}
	}
	if !s.options.IllegalRequests {
		for _, why := range s.Model.Illegal() {
			faults = append(faults, "the model was sent an illegal request: "+why)
		}
	}
	return faults
}

// Close stops everything, and returns what was wrong.
func (s *Stage) Close() (faults []string) {
	faults = s.Proxy.Stop()
	s.Tap.Close()
	if s.behind != nil {
		faults = append(faults, s.behind.Stop()...)
		s.behindTap.Close()
	}
	if s.Zoo != nil {
		s.Zoo.Close()
	}
	s.Model.Close()
	return append(s.Check(), faults...)
}

// New sets a stage up for a test, and takes it down when the test is over. What
// is wrong then fails the test.
func New(t testing.TB, opt Options) *Stage {
	t.Helper()
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fault := range s.Close() {
			t.Error(fault)
		}
		if t.Failed() {
			t.Log("the end of antiphon's log:\n" + s.Proxy.Log(15))
		}
	})
	return s
}

// Main runs the tests of a package.
func Main(m *testing.M) (code int) {
	defer RemoveBinary()
	if _, err := Binary(); err != nil {
		fmt.Println(err)
		return 1
	}
	return m.Run()
}

// Between returns what the two proxies of a chain have said to each other.
func (s *Stage) Between() []Exchange { return s.behindTap.Exchanges() }

// Last returns the last exchange whose path begins with a prefix.
func (s *Stage) Last(method, path string) (last Exchange, ok bool) {
	for _, x := range s.Tap.Exchanges() {
		if x.Method == method && strings.HasPrefix(x.Path, path) {
			last, ok = x, true
		}
	}
	return last, ok
}

// HTTPClient is a client whose connections are closed when the test is over.
func HTTPClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
