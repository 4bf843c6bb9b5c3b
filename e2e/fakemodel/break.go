package fakemodel

import (
	"fmt"
	"net"
	"net/http"
)

// breakStream breaks a stream off, some chunks of which have been sent.
func (x *exchange) breakStream() (state string) {
	switch x.reply.Break.How {
	case WithError:
		x.send([]byte(`{"error":{"message":"The model has fallen over.","type":"server_error","param":null,"code":"model_fell_over"}}`))
		return Broken
	case Silently:
		_ = http.NewResponseController(x.w).Flush() // there may have been no chunk
		return Broken
	case ByStall:
		_ = http.NewResponseController(x.w).Flush()
		return x.stall()
	}
	_ = http.NewResponseController(x.w).Flush()
	return x.drop(nil)
}

// breakWhole breaks a whole reply off in the middle of its body, or before its
// header.
func (x *exchange) breakWhole(body []byte) (state string) {
	if x.reply.Break.After == 0 {
		if x.reply.Break.How == ByStall {
			return x.stall()
		}
		return x.drop(nil)
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	half := append([]byte(head), body[:len(body)/2]...)
	if x.reply.Break.How == ByStall {
		x.w.Header().Set("Content-Type", "application/json")
		x.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = x.w.Write(body[:len(body)/2])
		_ = http.NewResponseController(x.w).Flush()
		return x.stall()
	}
	return x.drop(half)
}

func (x *exchange) stall() (state string) {
	<-x.r.Context().Done()
	return Left
}

// drop writes a last thing and drops the connection.
func (x *exchange) drop(last []byte) (state string) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // closes the connection as well
	}
	_, _ = conn.Write(last)
	if tcp, ok := conn.(*net.TCPConn); ok && x.reply.Break.How == ByReset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	return Broken
}
