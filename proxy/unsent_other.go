//go:build !linux

package proxy

import "net"

// boundUnsent exists on Linux only. Elsewhere the system's own buffers hold what a
// client has not read.
func boundUnsent(*net.TCPConn) {}
