package upstreamtest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// play plays the script of a request, and says whether the connection lives on.
func (c *conn) play(r *Request) (alive bool) {
	defer close(r.Played)
	c.header, c.chunked = "", false
	for line := range strings.Lines(c.s.answer(r.number, r)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line == "unread" {
			continue
		}
		if !c.step(r, line) {
			return false
		}
	}
	return !c.chunked || c.step(r, "end")
}

// step does one step, and says whether the connection lives on.
func (c *conn) step(r *Request, line string) (alive bool) {
	word, rest, _ := strings.Cut(line, " ")
	first, more, _ := strings.Cut(rest, " ")
	switch word {
	case "header":
		c.header += rest + "\r\n"
	case "head":
		kind, framing, _ := strings.Cut(more, " ")
		length, fixed := strings.CutPrefix(framing, "length=")
		switch c.chunked = framing == ""; {
		case c.chunked:
			c.header += "Transfer-Encoding: chunked\r\n"
		case fixed:
			c.header += "Content-Length: " + length + "\r\n"
		}
		return c.write("HTTP/1.1 " + first + " Status\r\nContent-Type: " + kind + "\r\n" + c.header + "\r\n")
	case "json":
		return c.write(fmt.Sprintf("HTTP/1.1 %s Status\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
			first, c.header, len(more), more))
	case "chunk":
		return c.body(rest + "\n\n")
	case "chunk-raw":
		return c.body(must(strconv.Unquote(rest)))
	case "raw":
		return c.write(must(strconv.Unquote(rest)))
	case "fill":
		more = must(strconv.Unquote(more))
		piece := strings.Repeat(more, max(1, 64<<10/len(more)))
		for left := must(strconv.Atoi(first)); left > 0; left -= len(piece) {
			if !c.body(piece[:min(left, len(piece))]) {
				return false
			}
		}
	case "repeat":
		for range must(strconv.Atoi(first)) {
			if !c.step(r, more) {
				return false
			}
		}
	case "wait":
		select {
		case <-time.After(must(time.ParseDuration(rest))):
		case <-r.Gone:
			return false
		}
	case "gate":
		select {
		case <-c.s.gate(rest):
		case <-r.Gone:
			return false
		}
	case "stall", "hold-head":
		<-r.Gone
		return false
	case "endless-header":
		for alive = c.write("HTTP/1.1 200 OK\r\n"); alive; {
			alive = c.write("X-Filler: " + strings.Repeat("x", 100) + "\r\n")
		}
		return false
	case "end":
		c.chunked = false
		return c.write("0\r\n\r\n")
	case "close":
		return false
	case "rst":
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		return false
	default:
		panic("upstreamtest: there is no step " + strconv.Quote(word))
	}
	return true
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("upstreamtest: " + err.Error())
	}
	return v
}

// body writes a piece of a body, in one write.
func (c *conn) body(s string) bool {
	if c.chunked {
		s = fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
	}
	return c.write(s)
}

func (c *conn) write(s string) bool {
	_, err := c.Conn.Write([]byte(s))
	return err == nil
}
