//go:build !linux

package proxy

import "net"

// watcher exists on Linux only. Elsewhere a failed write, at the latest of a
// heartbeat, tells that a client has left.
type watcher struct{}

func newWatcher() *watcher             { return nil }
func (*watcher) add(net.Conn, *client) {}
func (*watcher) remove(*client)        {}
func (*watcher) stop()                 {}
