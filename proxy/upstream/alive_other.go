//go:build !linux

package upstream

import "time"

// alive cannot look at the connection here, so it trusts it.
func (c *conn) alive() bool { return c.br.Buffered() == 0 }

// endedFor is not known here.
func (c *conn) endedFor() (time.Duration, bool) { return 0, false }

// unread is never certain here.
func (c *conn) unread(error) bool { return false }
