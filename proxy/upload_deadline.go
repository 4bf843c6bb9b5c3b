package proxy

import (
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/config"
)

// A request body may take long, but not for ever: waiting for it is bounded by
// limits.read_timeout and a second more for every limits.upload_rate bytes that have
// come, and by limits.upload_timeout in all. Whoever sends in drops holds a
// connection, and an upstream where the body is passed on, no longer than somebody
// who sends nothing. Time in which the server itself does not read does not count.

// upload reads a request body within its deadlines. Its zero value is no upload.
type upload struct {
	r      io.Reader
	ctx    *fasthttp.RequestCtx
	limits *config.Limits
	came   int64
	waited time.Duration
	armed  time.Time // the deadline of the connection; zero while fasthttp's own holds
	passes bool      // the body is passed on as it comes, and the upstream may be slow
}

// beginUpload begins the deadlines for a body, whose beginning may have come.
func (x *exchange) beginUpload(r io.Reader, passes bool) upload {
	return upload{r: r, ctx: x.ctx, limits: &x.server.cfg.Limits, passes: passes}
}

// Read reads what has come of the body, and waits for some if there is nothing.
func (u *upload) Read(p []byte) (int, error) {
	began := time.Now()
	u.arm(began)
	n, err := u.r.Read(p)
	u.came += int64(n)
	u.waited += time.Since(began)
	return n, err
}

// arm sets the deadline of the connection to what is left. Deadlines cost; one that
// is a little early does no harm.
func (u *upload) arm(now time.Time) {
	timeout := u.limits.ReadTimeout.Std()
	left := min(timeout+u.earned(), u.limits.UploadTimeout.Std()) - u.waited
	if u.armed.IsZero() && !u.passes {
		const soon = 16 << 10 // most of it is there already
		if u.came < soon && u.waited < timeout/16 && u.limits.UploadTimeout >= u.limits.ReadTimeout {
			return
		}
	}
	end := now.Add(left)
	if early := end.Sub(u.armed); early >= 0 && early < timeout/32 {
		return
	}
	u.armed = end
	_ = u.ctx.SetReadDeadline(end)
}

// earned is the time that the bytes that have come give.
func (u *upload) earned() time.Duration {
	if u.limits.UploadRate <= 0 {
		return 0
	}
	const most = int64(time.Hour * 24 * 365 / time.Second)
	rate := int64(u.limits.UploadRate)
	whole := min(u.came/rate, most)
	return time.Duration(whole)*time.Second + time.Duration(u.came%rate)*time.Second/time.Duration(rate)
}
