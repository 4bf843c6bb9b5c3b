package proxy

import (
	"net"
	"sync"
	"syscall"
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

const epollRdHup = 0x2000

// newWatcher starts watching. It returns nil if the system does not allow it:
// then only a failed write tells that a client has left.
func newWatcher() *watcher {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	w := &watcher{epoll: fd, byToken: map[uint32]*client{}, token: map[*client]uint32{}}
	if err := syscall.Pipe2(w.wake[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		_ = syscall.Close(fd)
		return nil
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: 0}
	if err := syscall.EpollCtl(fd, syscall.EPOLL_CTL_ADD, w.wake[0], &ev); err != nil {
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
	ev := syscall.EpollEvent{Events: epollRdHup | syscall.EPOLLONESHOT, Fd: int32(token)} // bits, not a number
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_ADD, int(fd), &ev)
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
	events := make([]syscall.EpollEvent, 128)
	for {
		n, err := syscall.EpollWait(w.epoll, events, -1)
		if err == syscall.EINTR {
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
		_, _ = syscall.Write(w.wake[1], []byte{0})
	}
}

func (w *watcher) closeFiles() {
	_ = syscall.Close(w.epoll)
	_ = syscall.Close(w.wake[0])
	_ = syscall.Close(w.wake[1])
}
