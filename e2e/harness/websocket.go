package harness

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// messages reads the text messages out of one direction of a WebSocket, as far
// as they have come. Nothing is compressed: antiphon accepts no extensions.
func messages(raw []byte) (list [][]byte) {
	var message []byte
	for len(raw) >= 2 {
		op, last := raw[0]&0x0f, raw[0]&0x80 != 0
		masked, size := raw[1]&0x80 != 0, uint64(raw[1]&0x7f)
		raw = raw[2:]
		switch {
		case size == 126 && len(raw) >= 2:
			size, raw = uint64(binary.BigEndian.Uint16(raw)), raw[2:]
		case size == 127 && len(raw) >= 8:
			size, raw = binary.BigEndian.Uint64(raw), raw[8:]
		case size > 125:
			return list
		}
		var key [4]byte
		if masked {
			if len(raw) < len(key) {
				return list
			}
			copy(key[:], raw)
			raw = raw[len(key):]
		}
		if uint64(len(raw)) < size {
			return list
		}
		const firstControl = 8 // close, ping, pong: they may stand between the frames of a message
		if op < firstControl {
			for i, b := range raw[:size] {
				message = append(message, b^key[i&3])
			}
			if last {
				list, message = append(list, message), nil
			}
		}
		raw = raw[size:]
	}
	return list
}

// webSocket reports whether the exchange has become a WebSocket.
func (x *Exchange) webSocket() bool { return x.Status == http.StatusSwitchingProtocols }

// webSocket checks the responses of a connection: each is a stream, made of the
// messages of its lane from one end to the next.
func (f *checker) webSocket(said map[string][]byte, options streamcheck.Options) {
	type message struct {
		Type     string          `json:"type"`
		StreamID string          `json:"stream_id"`
		Response json.RawMessage `json:"response"`
		Error    struct{ Type, Message string }
	}
	lanes := map[string][]byte{}
	for i, raw := range f.x.Received {
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			f.fail("message %d is no event: %v", i, err)
			continue
		}
		if m.Type == "error" {
			if m.Error.Type == "" || m.Error.Message == "" {
				f.fail("message %d is an error without type or message: %s", i, raw)
			}
			if lanes[m.StreamID] == nil {
				continue // it answers a request that became no response
			}
		}
		stream := fmt.Appendf(lanes[m.StreamID], "event: %s\ndata: %s\n\n", m.Type, raw)
		lanes[m.StreamID] = stream
		switch m.Type {
		case "response.completed", "response.incomplete", "response.failed":
			for _, v := range streamcheck.Stream(stream, options) {
				f.fail("%s\n\tmessages: %s", v, clip(stream))
			}
			said[idOf(m.Response)] = m.Response
			delete(lanes, m.StreamID)
		}
	}
	options.Unfinished = true
	for lane, stream := range lanes {
		if !f.x.ClientLeft {
			f.fail("lane %q has no end", lane)
		}
		for _, v := range streamcheck.Stream(stream, options) {
			f.fail("%s\n\tmessages: %s", v, clip(stream))
		}
	}
}
