package upstream

import (
	"encoding/binary"
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
// whole request, now that the connection has ended without a reply. sent says
// whether all of it was handed to the system; reset, whether the end was one.
//
// A server that has closed a connection answers what arrives on it later with a
// reset, and does not acknowledge it; one that reads the request and then dies
// has acknowledged it, and ends the connection in order or with a reset. (Only
// one that reads and resets within the 40 ms by which systems delay
// acknowledgements looks like the first.) A reset may be on its way still, so
// there is a moment to wait for it.
func (c *conn) neverRead(sent, reset bool) bool {
	if !sent {
		return reset
	}
	if c.raw == nil {
		return false
	}
	const moment = 20 * time.Millisecond
	unread := false
	_ = c.raw.Control(func(fd uintptr) {
		if !reset {
			re, err := poll(fd, 0, moment)
			reset = err == nil && re&pollErr != 0
		}
		if !reset {
			e, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
			reset = err == nil && e != 0
		}
		unread = reset && unacknowledged(fd) > 0
	})
	return unread
}

// unacknowledged is how many bytes the other side's system has not confirmed,
// also after the end of the connection. It is 0 on systems that cannot tell.
func unacknowledged(fd uintptr) int64 {
	// Places in the kernel's struct tcp_info (include/uapi/linux/tcp.h).
	const bytesAcked, bytesSent, bytesRetrans, end = 120, 200, 208, 216
	var info [256]byte
	size := uint32(len(info))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < end {
		return 0
	}
	field := func(at int) int64 { return int64(binary.NativeEndian.Uint64(info[at:])) } // far from overflow
	return field(bytesSent) - field(bytesRetrans) - (field(bytesAcked) - 1)             // the SYN is acknowledged like a byte
}
