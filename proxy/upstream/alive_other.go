//go:build !linux

package upstream

// alive cannot look at the connection here, so it trusts it.
func (c *conn) alive() bool { return c.br.Buffered() == 0 }

// neverRead is only certain when the connection was reset before all was sent.
func (c *conn) neverRead(sent, reset bool) bool { return reset && !sent }
