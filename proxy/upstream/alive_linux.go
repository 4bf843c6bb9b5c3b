package upstream

import (
	"syscall"
	"time"
	"unsafe"
)

// Linux's poll, which package syscall has no function for.
type pollFd struct {
	fd      int32
	events  int16
	revents int16
}

const (
	pollIn    = 0x1
	pollErr   = 0x8
	pollHup   = 0x10
	pollRdHup = 0x2000
)

func poll(fd uintptr, events int16, wait time.Duration) (revents int16, err error) {
	p := pollFd{fd: int32(fd), events: events}
	ts := syscall.NsecToTimespec(int64(wait))
	_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return p.revents, nil
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
		re, err := poll(fd, pollIn|pollRdHup, 0)
		ok = err != nil || re == 0
	})
	return err == nil && ok
}

// neverRead reports whether it is certain that the other side has not read the
// whole request that was written to the connection, now that it has ended
// without a reply. A server that closes before it has read everything answers
// what arrives with a reset; one that has read the request and then dies ends
// the connection in order. A reset may be on its way still, so there is a moment
// to wait for it.
func (c *conn) neverRead(reset bool) bool {
	if reset {
		return true
	}
	if c.raw == nil {
		return false
	}
	const moment = 20 * time.Millisecond
	seen := false
	_ = c.raw.Control(func(fd uintptr) {
		if re, err := poll(fd, 0, moment); err == nil && re&pollErr != 0 {
			seen = true
			return
		}
		if e, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && e != 0 {
			seen = true
		}
	})
	return seen
}
