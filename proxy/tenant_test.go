package proxy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
)

// onStore is a setup with a store that others may share.
func onStore(st *memory.Store) func(*setup) { return func(s *setup) { s.opt.Store = st } }

// TestTenantsAgree: replicas on one store, and a server that is started again,
// know a credential as the same tenant, and others as others.
func TestTenantsAgree(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	st := memory.New(memory.Options{})
	defer st.Close()
	one, two := newRig(t, up.URL(), onStore(st)), newRig(t, up.URL(), onStore(st))
	id := one.post(plain).responseID(t)
	one.stop()
	for _, r := range []*rig{two, newRig(t, up.URL(), onStore(st))} {
		r.get("/v1/responses/"+id).want(t, 200, "")
		r.get("/v1/responses/"+id, "Authorization: Bearer sk-CANARY-other").want(t, 404, "")
		r.get("/v1/responses/"+id, "Authorization:").want(t, 404, "")
	}
}

// TestTenantsWithoutKey: while the store has not given the key of tenants' names,
// answers come and say that they are not stored, and what is stored is out of
// reach rather than absent.
func TestTenantsWithoutKey(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	st := newFaultyStore(t)
	st.set(func(op string) error {
		if op == "doc" || op == "commit" {
			return errors.New("down")
		}
		return nil
	})
	r := newRig(t, up.URL(), func(s *setup) { s.opt.Store = st })
	got := r.post(plain)
	got.want(t, 200, "")
	if !strings.Contains(string(got.body), `"store":false`) {
		t.Errorf("%s", got.body)
	}
	r.get("/v1/responses/"+got.responseID(t)).want(t, 503, "server_error")
	r.post(`{"model":"m","input":"x","previous_response_id":"resp_1"}`).want(t, 503, "server_error")
	r.do("DELETE", "/v1/responses/resp_1", "").want(t, 503, "server_error")
	st.set(nil)
	r.until("the key", func() bool {
		time.Sleep(tenantKeyAgain / 4)
		return strings.Contains(string(r.post(plain).body), `"store":true`)
	})
	id := r.post(plain).responseID(t)
	r.get("/v1/responses/"+id).want(t, 200, "")
}

// TestTenantPrincipals: with a file of keys, the principal is the tenant.
func TestTenantPrincipals(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), withKeys(t, "alice sk-CANARY-alice\nalice sk-CANARY-carol\nbob sk-CANARY-bob\n"), func(s *setup) {
		s.cfg.Loss = config.LossStrict
	})
	id := r.post(plain, alice).responseID(t)
	r.get("/v1/responses/"+id, carol).want(t, 200, "")
	r.get("/v1/responses/"+id, bob).want(t, 404, "")
}
