package proxy

import (
	"errors"
	"io"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Refusals with status 200 (refused.go), of a backend that speaks Responses to a chat
// client. As long as no chunk has been made of the reply, the client has been told
// nothing but keep-alives, so the request may be changed by what the refusal teaches,
// and another upstream may be asked. Requests for several choices are not asked again:
// their replies come at the same time.

// askChatRefused asks again for the only choice, if its turn has ended in a refusal. w
// is where keep-alives go, or nil. again says that there is another reply to take in;
// if there is none the turn has ended.
func (x *exchange) askChatRefused(w io.Writer) (again bool, err error) {
	f := x.front
	r, turn := f.replies[0], f.choices.Turn(0)
	if len(r.inBand) == 0 {
		return false, nil
	}
	o := x.inBandFailure(turn.Failure(), r.inBand)
	x.up.Close(true)
	x.keepTurn()
	failure := x.alive(w, func() *translate.Error { return x.sendAfter(o) })
	if errors.Is(x.up.Cancelled(), errClientGone) {
		return false, errStop
	}
	f.choices.Reset(x.chatTurnOptions())
	r.begin(r.up, r)
	if f.misplaced != nil && x.backend.cfg.API != config.APIResponses {
		r.begin(r.up, x.misplacedReplyOf(r))
	}
	if failure != nil {
		x.out = turn.Abort(x.out, failure)
		return false, nil
	}
	return true, nil
}
