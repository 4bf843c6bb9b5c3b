package openaigo

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/option"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/faultproxy"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

// offsets are bytes at which to break a connection that carries length bytes:
// dense at both ends, and some in between.
func offsets(length int64) (list []int64) {
	list = []int64{0, 1, 17, 150}
	const parts = 12
	for i := range int64(parts) {
		list = append(list, length*(i+1)/(parts+1))
	}
	list = append(list, length-40, length-9, length-1)
	slices.Sort(list)
	return list
}

// TestUpstreamBreaksAnywhere: wherever the connection to the model breaks, the
// client gets one end: an error, or a stream with exactly one terminal event
// (which the tap checks).
func TestUpstreamBreaksAnywhere(t *testing.T) {
	for _, how := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
		for _, streamed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, streamed: %v", how, streamed), func(t *testing.T) {
				f := faultyUpstream(t, forecast)
				request := func() (p played) {
					params := withTools(ask("Oslo and Rome?"))
					if streamed {
						return consume(t, f.client.Responses.NewStreaming(within(t), params))
					}
					p.final, p.err = f.client.Responses.New(within(t), params)
					return p
				}
				whole := request()
				if whole.err != nil {
					t.Fatal(explain(whole.err))
				}
				_, length := f.net.Passed()
				asked := len(f.Model.Requests(model))
				for _, at := range offsets(length) {
					f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Do: how, After: at}})
					got := request()
					f.wantOneEnd(t, got, at, length, streamed)
					asked++
				}
				if n := len(f.Model.Requests(model)); n != asked {
					t.Errorf("the model was asked %d times for %d requests", n, asked)
				}
			})
		}
	}
}

func (f *faulty) wantOneEnd(t *testing.T, p played, at, length int64, streamed bool) {
	t.Helper()
	switch outcome := p.outcome(); {
	case outcome == "refused":
		if at > length/2 && streamed {
			t.Errorf("cut at %d of %d: the stream has not even begun", at, length)
		}
		wantStatus(t, p.err, http.StatusBadGateway)
	case !streamed:
		if p.err != nil {
			t.Errorf("cut at %d of %d: %s", at, length, explain(p.err))
		}
	case outcome == "failed":
		wantStreamError(t, p.err, "server_error", "")
		if !strings.HasPrefix("I will look.", p.said()) {
			t.Errorf("cut at %d of %d: the text is %q", at, length, p.said())
		}
	case outcome == "completed":
		if at < length/2 {
			t.Errorf("cut at %d of %d: the stream has completed", at, length)
		}
		if got := len(p.final.Output); got != 4 {
			t.Errorf("cut at %d of %d: the completed stream has %d items", at, length, got)
		}
	default:
		t.Errorf("cut at %d of %d: the stream is %s: %s", at, length, outcome, explain(p.err))
	}
}

// TestUpstreamCutsTheRequest: the model never gets the whole request.
func TestUpstreamCutsTheRequest(t *testing.T) {
	for _, how := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
		t.Run(string(how), func(t *testing.T) {
			f := faultyUpstream(t, fakemodel.Says("Hello."))
			for _, at := range []int64{0, 40, 300} {
				f.net.Set(faultproxy.Plan{Request: faultproxy.Fault{Do: how, After: at}})
				params := ask(strings.Repeat("Hello? ", 1000))
				p := consume(t, f.client.Responses.NewStreaming(within(t), params))
				if p.outcome() != "refused" {
					t.Errorf("cut at %d: the stream is %s", at, p.outcome())
					continue
				}
				if e := wantStatus(t, p.err, p.status()); e.StatusCode != http.StatusBadGateway && e.StatusCode != http.StatusBadRequest {
					t.Errorf("cut at %d: %s", at, explain(p.err))
				}
			}
		})
	}
}

// TestUpstreamStalls: the time without a byte is bounded, before the first and
// after.
func TestUpstreamStalls(t *testing.T) {
	f := faultyUpstream(t, fakemodel.Says(rainy),
		"--set", "upstream.timeouts.first_byte=2s", "--set", "upstream.timeouts.idle=2s")
	mustEnd(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
	_, length := f.net.Passed()

	f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Do: faultproxy.Stall}})
	p := consume(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
	wantStatus(t, p.err, http.StatusGatewayTimeout)
	_, err := f.client.Responses.New(within(t), ask("Weather?"))
	wantStatus(t, err, http.StatusGatewayTimeout)

	f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Do: faultproxy.Stall, After: length / 2}})
	p = consume(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
	wantStreamError(t, p.err, "server_error", "")
	if said := p.said(); said == "" || !strings.HasPrefix(rainy, said) {
		t.Errorf("the text before the stall is %q", said)
	}
}

// TestUpstreamIsSlow: every byte by itself, and late.
func TestUpstreamIsSlow(t *testing.T) {
	f := faultyUpstream(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: rainy, Piece: 16}}}, "--set", "stream.heartbeat=100ms")
	f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Delay: time.Second, Rate: 3000}})
	p := mustEnd(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
	if got := p.final.OutputText(); got != rainy {
		t.Errorf("the text is %q", got)
	}
	if got := create(t, f.client, ask("Weather?")).OutputText(); got != rainy {
		t.Errorf("the text is %q", got)
	}
}

// TestUpstreamIsNotThere: nobody listens.
func TestUpstreamIsNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	s := harness.New(t, harness.Options{Upstream: func(*fakemodel.Server) (string, error) { return "http://" + addr, nil }})
	client := newClient(t, s.URL(), option.WithMaxRetries(0))
	p := consume(t, client.Responses.NewStreaming(within(t), ask("Hello?")))
	e := wantStatus(t, p.err, http.StatusBadGateway)
	if strings.Contains(e.RawJSON(), addr) {
		t.Errorf("the error gives an address away: %s", e.RawJSON())
	}
}

// TestUpstreamClosesIdleConnections: a connection that was kept and is closed by
// the model in the meantime costs no request, and none is made twice.
func TestUpstreamClosesIdleConnections(t *testing.T) {
	for _, how := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
		t.Run(string(how), func(t *testing.T) {
			f := faultyUpstream(t, fakemodel.Says("Hello."),
				"--set", "upstream.connections.max_idle=8", "--set", "upstream.detect=false") // a list of models is not in length
			_, before := f.net.Passed()
			create(t, f.client, ask("Hello?"))
			_, after := f.net.Passed() // of the same connection
			length := after - before
			asked := len(f.Model.Requests(model))
			f.net.HangUp()
			f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Do: how, After: length}})
			const requests = 30
			for i := range requests {
				if i > 0 && !f.net.AwaitEnd(harness.Patience) {
					t.Fatal("the connection has not ended")
				}
				time.Sleep(5 * time.Millisecond) // for the end to arrive
				if got := create(t, f.client, ask("Hello?")).OutputText(); got != "Hello." {
					t.Errorf("the text is %q", got)
				}
			}
			if n := len(f.Model.Requests(model)) - asked; n != requests {
				t.Errorf("the model was asked %d times for %d requests", n, requests)
			}
			if n := f.net.Opened(); n < requests {
				t.Errorf("%d connections only: none was closed", n)
			}
		})
	}
}
