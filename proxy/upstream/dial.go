package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// dial makes a connection, within Options.Connect and until ctx is done. With
// TLS the handshake is part of it.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	if c.opt.Connect > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opt.Connect)
		defer cancel()
	}
	nc, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	out := &conn{wire: &counter{Conn: nc}}
	out.Conn = out.wire
	if sc, ok := nc.(syscall.Conn); ok {
		out.raw, _ = sc.SyscallConn()
	}
	if c.opt.TLS != nil {
		tc := tls.Client(out.wire, c.opt.TLS)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, err
		}
		out.Conn = tc
	}
	out.most = c.opt.MaxHeader
	out.br = bufio.NewReaderSize(out.Conn, min(firstReader, out.most))
	return out, nil
}

func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	if c.opt.Dial != nil {
		timeout := time.Duration(0)
		if deadline, ok := ctx.Deadline(); ok {
			timeout = time.Until(deadline)
		}
		return c.opt.Dial("tcp", c.opt.Addr, timeout)
	}
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}}
	return d.DialContext(ctx, "tcp", c.opt.Addr)
}

// counter counts the bytes written to a connection.
type counter struct {
	net.Conn
	written int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written += int64(n)
	return n, err
}
