package upstream

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// poll looks what has happened on a connection, waiting up to wait for it.
func poll(fd uintptr, events int16, wait time.Duration) (revents int16, err error) {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	_, err = unix.Poll(p[:], int(wait.Milliseconds()))
	return p[0].Revents, err
}

// alive reports whether nothing speaks against sending a request on a kept
// connection: it is neither closed by the other side nor has anything unasked
// for arrived on it.
func (c *conn) alive() bool {
	if c.br.Buffered() > 0 {
		return false
	}
	if c.raw == nil {
		return true
	}
	ok := true
	err := c.raw.Control(func(fd uintptr) {
		re, err := poll(fd, unix.POLLIN|unix.POLLRDHUP, 0)
		ok = err != nil || re == 0
	})
	return err == nil && ok
}

// endedFor is how long ago the other side closed the connection in order. ok is
// false if it has not, or if that is not known.
func (c *conn) endedFor() (ago time.Duration, ok bool) {
	if c.raw == nil {
		return 0, false
	}
	_ = c.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == unix.BPF_TCP_CLOSE_WAIT { // its FIN was the last thing to come
			ago, ok = time.Duration(info.Last_ack_recv)*time.Millisecond, true
		}
	})
	return ago, ok
}

// unread reports whether it is certain that the other side has read nothing of the
// request, now that the connection has ended with err and without a reply.
//
// Either nothing of the request has left this machine: the connection was reset
// before. Or the other side closed the connection in order, its system had
// received nothing of the request when it did so (its FIN acknowledges all that
// had come), and it answered the request with a reset, as a system does for a
// connection that nobody holds any more.
//
// Nothing less is certain. A reset alone is what a server sends that has read a
// request and then dies, before its system has acknowledged the request: that may
// take 40 ms.
func (c *conn) unread(err error) bool {
	if c.raw == nil {
		return false
	}
	unread := false
	_ = c.raw.Control(func(fd uintptr) {
		info, errInfo := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if errInfo != nil || info.Bytes_acked == 0 || info.Bytes_sent == 0 { // a system that does not count them
			return
		}
		if int64(info.Bytes_sent-info.Bytes_retrans) <= c.before { // far from overflow
			unread = isReset(err)
			return
		}
		if !nothingAcked(info, c.before) {
			return
		}
		// A reset gives the error EPIPE to a connection that the other side had
		// closed in order, and ECONNRESET to any other one.
		if errors.Is(err, unix.EPIPE) {
			unread = true
			return
		}
		if !errors.Is(err, errClosed) {
			return
		}
		// The FIN has come. The reset may be on its way still.
		const moment = 20 * time.Millisecond
		roundTrip := time.Duration(info.Rtt) * time.Microsecond
		re, errPoll := poll(fd, 0, moment+min(2*roundTrip, time.Second))
		if errPoll != nil || re&unix.POLLERR == 0 {
			return
		}
		code, errCode := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if errCode != nil || code != int(unix.EPIPE) {
			return
		}
		// What the other side took after its FIN it has acknowledged by now.
		info, errInfo = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		unread = errInfo == nil && nothingAcked(info, c.before)
	})
	return unread
}

// nothingAcked reports whether the other side's system has acknowledged nothing
// beyond the first bytes. The SYN is acknowledged like a byte.
func nothingAcked(info *unix.TCPInfo, first int64) bool {
	return int64(info.Bytes_acked)-1 <= first // far from overflow
}
