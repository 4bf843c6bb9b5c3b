package proxy

import (
	"net"
	"syscall"
)

// unsentRoom is how much of what is written to a client the system holds that it
// has not sent.
const unsentRoom = 128 << 10

// boundUnsent keeps the system from buffering megabytes for a client that does not
// read. That would cost memory which nobody counts, and such a client would show
// late; and a slow one would show as one that takes nothing, because the system lets
// a writer go on only when a third of the buffer is free again.
func boundUnsent(c *net.TCPConn) {
	const tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT, see tcp(7)
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsentRoom)
	})
}
