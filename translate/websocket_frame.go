package translate

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Frame is a message of a client in WebSocket mode (docs/PROTOCOL.md §1.10), read as far as
// it is not the body of a creation.
type Frame struct {
	// Type is "response.create", or another that there may be.
	Type string
	// StreamID names the lane; "" is the default one.
	StreamID string
	// Generate is false for a creation that asks the model for nothing.
	Generate bool
	// Body is the creation as a body of POST /responses with "stream":true.
	Body []byte
	// Previous is previous_response_id as it is in the message; it may be no id.
	Previous string
	// Input is the value of input in the message, which it aliases, or nil.
	Input []byte
}

// maxStreamID bounds the name of a lane.
const maxStreamID = 256

// Parse reads a message. Body is made in the memory of dst. After an error Type
// and StreamID are set as far as they could be read.
func (f *Frame) Parse(dst, message []byte, d *jsonx.Doc, lim RequestLimits) *Error {
	*f = Frame{Generate: true}
	lim.Mend = true
	if err := d.Parse(message, lim.Limits); err != nil {
		return badJSON(err)
	}
	if d.Kind(jsonx.Root) != jsonx.Object {
		return invalid("invalid_type", "", "Invalid type for the message: expected an object, but got "+got(d, jsonx.Root)+" instead.")
	}
	if n := d.Get(jsonx.Root, "stream_id"); d.Present(n) {
		if d.Kind(n) != jsonx.String {
			return errType("stream_id", "a string", got(d, n))
		}
		if id := d.Text(n); validStreamID(id) {
			f.StreamID = id
		} else {
			return invalid("invalid_value", "stream_id", "Invalid 'stream_id': '"+brief(id)+"'. Expected 1 to "+strconv.Itoa(maxStreamID)+
				" letters, digits, underscores, dots or dashes.")
		}
	}
	n := d.Get(jsonx.Root, "type")
	switch d.Kind(n) {
	case jsonx.String:
		f.Type = d.Text(n)
	case jsonx.Missing:
		return errMissing("type")
	default:
		return errType("type", "a string", got(d, n))
	}
	if n := d.GetString(jsonx.Root, "previous_response_id"); n != 0 {
		f.Previous = d.Text(n)
	}
	if n := d.Get(jsonx.Root, "input"); d.Present(n) {
		f.Input = d.Raw(n)
	}
	if f.Type != "response.create" {
		return nil
	}
	if n := d.Get(jsonx.Root, "generate"); d.Present(n) {
		if err := checkBool(d, n, "generate", &f.Generate); err != nil {
			return err
		}
	}
	dst = append(dst[:0], `{"stream":true`...)
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch string(keyOf(d, k)) {
		case "type", "stream_id", "generate", "stream", "background":
			continue // of the transport, or not used in this mode
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
	}
	f.Body = append(dst, '}')
	return nil
}

func validStreamID(id string) bool {
	if id == "" || len(id) > maxStreamID {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return c > '~' || !isAlnum(byte(c)) && c != '_' && c != '.' && c != '-' // ASCII by then
	})
}

// AppendFrame appends the message that tells of an error in WebSocket mode. It
// has a status and a code, whatever the error has.
//
// headers are those of the reply that the upstream gave, such as Retry-After:
// names and values in turn.
func (e *Error) AppendFrame(dst []byte, streamID string, headers ...string) []byte {
	dst = append(dst, `{"type":"error","status":`...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, `,"error":`...)
	c := *e
	if c.Code == "" {
		c.Code = c.Type
	}
	dst = c.AppendObject(dst)
	if len(headers) > 0 {
		dst = append(dst[:len(dst)-1], `,"headers":{`...)
		for i := 0; i+1 < len(headers); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = jsonx.AppendString(dst, headers[i])
			dst = append(dst, ':')
			dst = jsonx.AppendString(dst, headers[i+1])
		}
		dst = append(dst, "}}"...)
	}
	dst = appendStreamID(dst, streamID)
	return append(dst, '}')
}

func appendStreamID(dst []byte, streamID string) []byte {
	if streamID == "" {
		return dst
	}
	dst = append(dst, `,"stream_id":"`...)
	dst = append(dst, streamID...)
	return append(dst, '"')
}

// AppendSteerFailed appends the answer to a response.steer, which this server
// does not do.
func (f *Frame) AppendSteerFailed(dst []byte) []byte {
	dst = append(dst, `{"type":"response.steer.failed","sequence_number":0,"steer":{"previous_response_id":`...)
	dst = jsonx.AppendString(dst, f.Previous)
	dst = append(dst, `,"input":`...)
	if len(f.Input) > 0 {
		dst = append(dst, f.Input...)
	} else {
		dst = append(dst, `""`...)
	}
	dst = append(dst, `},"error":{"type":"invalid_request_error","code":"steering_not_supported","message":`+
		`"This server cannot steer a response that is running. Wait for its end and continue it with previous_response_id."}`...)
	dst = appendStreamID(dst, f.StreamID)
	return append(dst, '}')
}

// EachFrame calls send with the message for each event in a piece of a stream of
// server-sent events that a Turn has written: their data, with the lane, and in
// an error the status. Comments and the end marker are none. The message is made
// in the memory of buf, which is returned for the next piece.
func EachFrame(buf, events []byte, streamID string, status int, send func(message []byte) error) ([]byte, error) {
	const data, isError = "data: ", "event: error\n"
	failed := false
	for len(events) > 0 {
		line := events
		if i := bytes.IndexByte(events, '\n'); i >= 0 {
			line = events[:i+1]
		}
		events = events[len(line):]
		failed = string(line) == isError || failed && len(line) > 1
		if len(line) < len(data) || string(line[:len(data)]) != data {
			continue
		}
		message := line[len(data):]
		for len(message) > 0 && (message[len(message)-1] == '\n' || message[len(message)-1] == '\r') {
			message = message[:len(message)-1]
		}
		if len(message) == 0 || message[0] != '{' {
			continue
		}
		if streamID != "" || failed {
			buf = append(buf[:0], message[:len(message)-1]...)
			if failed {
				buf = append(buf, `,"status":`...)
				buf = strconv.AppendInt(buf, int64(status), 10)
			}
			buf = append(appendStreamID(buf, streamID), '}')
			message = buf
		}
		if err := send(message); err != nil {
			return buf, err
		}
	}
	return buf, nil
}
