package harness

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Exchange is a request of a client and the reply to it, as they were on the
// wire. The buffers may grow while the exchange goes on; what is here does not.
type Exchange struct {
	Method string
	Path   string // with the query
	Body   []byte // of the request

	Status int // 0: there was no reply
	Header http.Header
	Reply  []byte   // the body of the reply
	Chunks [][]byte // its pieces, if it was sent in chunks

	Sent, Received [][]byte // the messages, if it has become a WebSocket

	Complete   bool // the reply has come to its end
	ClientLeft bool // the client has closed its connection by now
}

// EventStream reports whether the reply is a stream of events.
func (x *Exchange) EventStream() bool {
	return strings.HasPrefix(x.Header.Get("Content-Type"), "text/event-stream")
}

// JSON reports whether the reply is JSON.
func (x *Exchange) JSON() bool {
	return strings.HasPrefix(x.Header.Get("Content-Type"), "application/json")
}

// exchanges cuts the two directions of a connection into exchanges.
func exchanges(toServer, toClient []byte, clientLeft bool) (list []Exchange) {
	requests := bufio.NewReader(bytes.NewReader(bytes.Clone(toServer)))
	replies := bufio.NewReader(bytes.NewReader(bytes.Clone(toClient)))
	for {
		req, err := http.ReadRequest(requests)
		if err != nil {
			return list
		}
		x := Exchange{Method: req.Method, Path: req.RequestURI, ClientLeft: clientLeft}
		x.Body, err = io.ReadAll(req.Body)
		whole := err == nil
		x.readReply(replies)
		if x.webSocket() {
			sent, _ := io.ReadAll(requests)
			received, _ := io.ReadAll(replies)
			x.Sent, x.Received, x.Complete = messages(sent), messages(received), true
			return append(list, x)
		}
		list = append(list, x)
		if !whole || !x.Complete {
			return list
		}
	}
}

// readReply reads a reply as far as it has come.
func (x *Exchange) readReply(r *bufio.Reader) {
	tp := textproto.NewReader(r)
	line, err := tp.ReadLine()
	if err != nil {
		return
	}
	_, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return
	}
	x.Status, x.Header = status, http.Header(header)
	switch {
	case status == http.StatusContinue:
		x.readReply(r)
	case status == http.StatusSwitchingProtocols: // what follows is no HTTP
	case status == http.StatusNoContent || status == http.StatusNotModified:
		x.Complete = true
	case strings.EqualFold(x.Header.Get("Transfer-Encoding"), "chunked"):
		x.readChunks(tp)
	case x.Header.Get("Content-Length") != "":
		size, err := strconv.Atoi(x.Header.Get("Content-Length"))
		if err != nil {
			return
		}
		x.Reply = make([]byte, size)
		n, err := io.ReadFull(r, x.Reply)
		x.Reply, x.Complete = x.Reply[:n], err == nil
	default:
		x.Reply, _ = io.ReadAll(r)
		x.Complete = true
	}
}

func (x *Exchange) readChunks(tp *textproto.Reader) {
	for {
		line, err := tp.ReadLine()
		if err != nil {
			return
		}
		size, err := strconv.ParseInt(line, 16, 32)
		if err != nil {
			return
		}
		chunk := make([]byte, size)
		n, err := io.ReadFull(tp.R, chunk)
		x.Reply = append(x.Reply, chunk[:n]...)
		if err != nil {
			return
		}
		if end, err := tp.ReadLine(); err != nil || end != "" {
			return
		}
		if size == 0 {
			x.Complete = true
			return
		}
		x.Chunks = append(x.Chunks, chunk)
	}
}
