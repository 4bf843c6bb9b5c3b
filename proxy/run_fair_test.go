package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestBackgroundShare: a tenant that fills its share of the queue is refused, and
// another is not; what waits is begun in turns.
func TestBackgroundShare(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string { return "gate go\n" + answers("x") })
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.Background.Workers, s.cfg.Background.Queue, s.cfg.Background.TenantShare = 1, 10, 50
	})
	post := func(who string, i int) int {
		return r.post(fmt.Sprintf(`{"model":"m","background":true,"input":"%s-%d"}`, who, i), "Authorization: Bearer "+who).status
	}
	accepted := map[string]int{}
	for i := range 12 {
		if post("greedy", i) == 200 {
			accepted["greedy"]++
		}
		if i == 0 {
			r.until("the worker to be busy", func() bool { return up.Count() == 1 })
		}
	}
	for i := range 3 {
		if post("modest", i) == 200 {
			accepted["modest"]++
		}
	}
	if accepted["greedy"] != 6 || accepted["modest"] != 3 { // one is being made
		t.Errorf("accepted: %v", accepted)
	}
	up.Release("go")
	r.until("all to be made", func() bool { return up.Count() == 9 })
	var order []string
	for _, req := range up.Requests() {
		who := "greedy"
		if strings.Contains(string(req.Body), "modest-") {
			who = "modest"
		}
		order = append(order, who)
	}
	last := 0
	for i, who := range order {
		if who == "modest" {
			last = i
		}
	}
	if last > 6 {
		t.Errorf("the order is %v", order)
	}
}
