package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// Check returns what is wrong with exchanges: with each by itself, and with what
// they say together. options are for the streams; chat says that chat completions
// are antiphon's own, not a model's that are passed through.
func Check(list []Exchange, options streamcheck.Options, chat bool) (faults []string) {
	said := map[string][]byte{} // responses by id
	for i := range list {
		x := &list[i]
		f := checker{x: x}
		switch {
		case x.Status == 0 || !x.api() && !(chat && x.createsChat()):
		case x.Status == statusClientGone && x.ClientLeft: // nobody reads it
		case x.Status >= http.StatusBadRequest:
			f.error()
		case x.webSocket():
			f.webSocket(said, options)
		case x.createsChat():
			f.chat()
		case x.EventStream():
			if final := f.stream(options); final != nil {
				said[idOf(final)] = final
			}
		case x.Method == http.MethodDelete:
			f.deletion()
		case x.JSON() && x.Complete && objectOf(x.Reply) == "response":
			f.response(said)
		}
		if x.Status != 0 && x.api() && x.Header.Get("X-Request-Id") == "" {
			f.fail("the reply has no X-Request-Id")
		}
		if !x.Complete && !x.ClientLeft && x.Status != 0 {
			f.fail("the reply was cut off, though the client was there")
		}
		faults = append(faults, f.faults...)
	}
	return faults
}

// statusClientGone is what antiphon calls the end of an exchange whose client
// has left.
const statusClientGone = 499

// api reports whether the exchange is with the Responses API.
func (x *Exchange) api() bool {
	path, _, _ := strings.Cut(x.Path, "?")
	return path == "/v1/responses" || strings.HasPrefix(path, "/v1/responses/")
}

// checker collects what is wrong with one exchange.
type checker struct {
	x      *Exchange
	faults []string
}

func (f *checker) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if f.faults == nil {
		text += "\n\trequest: " + clip(f.x.Body) + "\n\treply: " + clip(f.x.Reply)
	}
	f.faults = append(f.faults, fmt.Sprintf("%s %s (%d): %s", f.x.Method, f.x.Path, f.x.Status, text))
}

func clip(b []byte) string {
	const most = 4000
	if len(b) > most {
		return fmt.Sprintf("%s … %s (%d bytes)", b[:most/2], b[len(b)-most/2:], len(b))
	}
	return string(b)
}

// stream checks an event stream, and returns the response that it ends with.
func (f *checker) stream(options streamcheck.Options) (final []byte) {
	x := f.x
	raw := x.Reply
	if _, query, _ := strings.Cut(x.Path, "?"); strings.Contains(query, "starting_after=") {
		values, _ := url.ParseQuery(query)
		after, _ := strconv.ParseInt(values.Get("starting_after"), 10, 64)
		options.First = after + 1
	}
	if !x.Complete && x.ClientLeft {
		// What the client saw of a stream that it left may end anywhere.
		options.Unfinished = true
		end := bytes.LastIndex(raw, []byte("\n\n"))
		raw = raw[:max(end+2, 0)]
		if end < 0 {
			return nil
		}
	}
	for _, v := range streamcheck.Stream(raw, options) {
		f.fail("%s", v)
	}
	for i, chunk := range x.Chunks {
		if !bytes.HasSuffix(chunk, []byte("\n\n")) {
			f.fail("an event is split over two writes: chunk %d ends with %q", i, chunk[max(0, len(chunk)-40):])
		}
	}
	if options.Unfinished || options.First > 0 {
		return nil // there is not all of it
	}
	folded, err := streamcheck.Fold(raw, options)
	if err != nil {
		f.fail("the stream does not fold: %v", err)
		return nil
	}
	if !sameJSON(folded.Response, folded.Terminal) {
		f.fail("the events add up to something else than the last one says:\n%s\n%s", folded.Response, folded.Terminal)
	}
	return folded.Terminal
}

// response checks a response object, and that it is what was said before under
// the same id.
func (f *checker) response(said map[string][]byte) {
	for _, v := range streamcheck.Response(f.x.Reply) {
		f.fail("%s", v)
	}
	id := idOf(f.x.Reply)
	if running(f.x.Reply) {
		return // it will be another
	}
	switch before, known := said[id]; {
	case !known:
		said[id] = bytes.Clone(f.x.Reply)
	case !sameJSON(before, f.x.Reply):
		f.fail("the response is not what it was:\n%s\n%s", before, f.x.Reply)
	}
}

// deletion checks what a DELETE that succeeds answers.
func (f *checker) deletion() {
	var got struct {
		ID, Object string
		Deleted    bool
	}
	err := json.Unmarshal(f.x.Reply, &got)
	if err != nil || !got.Deleted || got.Object != "response" || !strings.HasSuffix(f.x.Path, "/"+got.ID) {
		f.fail("this is no answer to a deletion")
	}
}

// error checks that an error has the form of the API.
func (f *checker) error() {
	x := f.x
	if !x.JSON() {
		f.fail("an error is of type %q", x.Header.Get("Content-Type"))
		return
	}
	var body struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal(x.Reply, &body); err != nil || body.Error == nil {
		f.fail("an error without an error object")
		return
	}
	for _, key := range []string{"message", "type", "param", "code"} {
		v, there := body.Error[key]
		_, text := v.(string)
		if must := key == "message" || key == "type"; !there || !text && (must || v != nil) {
			f.fail("error.%s is not as the API has it", key)
		}
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// running reports whether a response has yet to end.
func running(response []byte) bool {
	var r struct{ Status string }
	_ = json.Unmarshal(response, &r)
	return r.Status == "queued" || r.Status == "in_progress"
}

func idOf(response []byte) string {
	var r struct{ ID string }
	_ = json.Unmarshal(response, &r)
	return r.ID
}

func objectOf(body []byte) string {
	var r struct{ Object string }
	_ = json.Unmarshal(body, &r)
	return r.Object
}

// Types returns the types of the events of a stream, in order, without repeats
// that follow each other.
func Types(stream []byte) (types []string) {
	for line := range bytes.Lines(stream) {
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			types = append(types, strings.TrimSpace(string(name)))
		}
	}
	return slices.Compact(types)
}
