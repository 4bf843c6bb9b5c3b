package openaigo

import (
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/faultproxy"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

// faulty is a stage with a network that breaks, on one side of antiphon.
type faulty struct {
	*harness.Stage
	net    *faultproxy.Proxy
	client openai.Client
	before harness.Held // what the process held when nothing had gone wrong yet
}

// faultyUpstream puts the network between antiphon and the model.
func faultyUpstream(t *testing.T, script fakemodel.Script, flags ...string) *faulty {
	t.Helper()
	f := &faulty{}
	f.Stage = harness.New(t, harness.Options{
		Flags: append([]string{"--set", "upstream.connections.max_idle=0"}, flags...),
		Upstream: func(m *fakemodel.Server) (string, error) {
			p, err := faultproxy.Start(m.Addr())
			if err != nil {
				return "", err
			}
			f.net = p
			return "http://" + p.Addr(), nil
		},
	})
	f.Model.Play(model, script)
	f.client = newClient(t, f.URL(), option.WithMaxRetries(0))
	f.begin(t)
	return f
}

// faultyClient puts the network between the client and antiphon.
func faultyClient(t *testing.T, script fakemodel.Script, flags ...string) *faulty {
	t.Helper()
	f := &faulty{Stage: harness.New(t, harness.Options{Flags: append([]string{"--set", "upstream.connections.max_idle=0"}, flags...)})}
	f.Model.Play(model, script)
	p, err := faultproxy.Start(f.Tap.Addr())
	if err != nil {
		t.Fatal(err)
	}
	f.net = p
	f.client = newClient(t, "http://"+p.Addr()+"/v1", option.WithMaxRetries(0), option.WithHeader("Connection", "close"))
	f.begin(t)
	return f
}

// begin makes a request that works, and notes what the process holds after it.
// When the test is over, the same must work, and the process hold no more.
func (f *faulty) begin(t *testing.T) {
	t.Helper()
	f.Model.Play("warm", fakemodel.Says("Fine."))
	works := func(when string) {
		params := ask("Hello?")
		params.Model = "warm"
		c := newClient(t, f.URL(), option.WithHeader("Connection", "close"))
		r, err := c.Responses.New(within(t), params)
		if err != nil || r.OutputText() != "Fine." {
			t.Errorf("%s: %v", when, explain(err))
		}
	}
	works("before the faults")
	var err error
	if f.before, err = f.Proxy.Held(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.net.Set(faultproxy.Plan{})
		if !f.Proxy.Alive() {
			t.Fatal("antiphon is not alive after the faults")
		}
		works("after the faults")
		after, ok, err := f.Proxy.Settle(f.before)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			t.Errorf("antiphon holds %v after the faults, and held %v before\n%s", after, f.before, f.Proxy.Goroutines())
		}
		f.net.Close()
	})
}

// outcome says how a stream has ended: completed, failed, or with an error
// before it began.
func (p *played) outcome() string {
	var api *openai.Error
	var failed *ssestream.StreamError
	switch {
	case errors.As(p.err, &api):
		return "refused"
	case errors.As(p.err, &failed):
		return "failed"
	case p.err != nil:
		return "broken"
	case len(p.events) == 0:
		return "empty"
	}
	return strings.TrimPrefix(p.events[len(p.events)-1].Type, "response.")
}

// said is the text of the deltas.
func (p *played) said() string {
	var text strings.Builder
	for _, e := range p.events {
		if e.Type == "response.output_text.delta" {
			text.WriteString(e.Delta)
		}
	}
	return text.String()
}
