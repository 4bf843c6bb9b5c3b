package proxy

import (
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher learns from the kernel when a client closes its connection, or its
// half of it. One epoll set holds all connections for as long as they live, so
// that a request costs no system call for it; the kernel takes a connection out
// of the set when it is closed.
type watcher struct {
	epoll int
	wake  [2]int // a pipe that ends wait

	mu      sync.Mutex
	next    uint32
	byToken map[uint32]*client
	token   map[*client]uint32
	stopped bool
}

// newWatcher starts watching. It returns nil if the system does not allow it:
// then only a failed write tells that a client has left.
func newWatcher() *watcher {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	w := &watcher{epoll: fd, byToken: map[uint32]*client{}, token: map[*client]uint32{}}
	if err := unix.Pipe2(w.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		_ = unix.Close(fd)
		return nil
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: 0}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, w.wake[0], &ev); err != nil {
		w.closeFiles()
		return nil
	}
	go w.wait()
	return w
}

func (w *watcher) add(conn net.Conn, c *client) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock() // until it is in the set, so that the set is not closed meanwhile
	if w.stopped {
		return
	}
	w.next++
	if w.next == 0 { // 0 is the pipe
		w.next++
	}
	token := w.next
	w.byToken[token], w.token[c] = c, token
	// The token travels in the event in the place of the descriptor, which the
	// system may have given to another connection by the time the event is read.
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(token)} // bits, not a number
	_ = raw.Control(func(fd uintptr) {
		_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, int(fd), &ev)
	})
}

func (w *watcher) remove(c *client) {
	w.mu.Lock()
	if token, ok := w.token[c]; ok {
		delete(w.token, c)
		delete(w.byToken, token)
	}
	w.mu.Unlock()
}

func (w *watcher) wait() {
	defer w.closeFiles()
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		for _, ev := range events[:n] {
			if ev.Fd == 0 {
				return
			}
			w.mu.Lock()
			c := w.byToken[uint32(ev.Fd)] // bits, not a number
			w.mu.Unlock()
			if c != nil {
				c.cancel(errClientGone)
			}
		}
	}
}

// stop ends the watching.
func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.stopped = true
		_, _ = unix.Write(w.wake[1], []byte{0})
	}
}

func (w *watcher) closeFiles() {
	_ = unix.Close(w.epoll)
	_ = unix.Close(w.wake[0])
	_ = unix.Close(w.wake[1])
}
