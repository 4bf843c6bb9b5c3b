package translate

import (
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

func TestFrame(t *testing.T) {
	for _, c := range []struct{ message, typ, stream, body, code string }{
		{`{"type":"response.create","model":"m","input":"x"}`, "response.create", "", `{"stream":true,"model":"m","input":"x"}`, ""},
		{`{"type":"response.create","stream":false,"background":true,"generate":true,"stream_id":"a.b","store":false}`,
			"response.create", "a.b", `{"stream":true,"store":false}`, ""},
		{`{ "type" : "response.create" , "\u0073tream":false, "\u0069nput" : [ 1 ] }`, "response.create", "", `{"stream":true,"\u0069nput":[ 1 ]}`, ""},
		{`{"type":"response.steer","stream_id":"l"}`, "response.steer", "l", "", ""},
		{`{"type":"response.create","stream_id":null,"generate":null}`, "response.create", "", `{"stream":true}`, ""},
		{`{"type":"response.create","stream_id":"a","generate":"no"}`, "response.create", "a", "", "invalid_type"},
		{`{"type":null,"stream_id":"a"}`, "", "a", "", "invalid_type"},
		{`{"stream_id":"a/b"}`, "", "", "", "invalid_value"},
		{`"x"`, "", "", "", "invalid_type"},
		{`{"type":"response.create","type":"x"}`, "", "", "", ""},
	} {
		var f Frame
		var d jsonx.Doc
		err := f.Parse(nil, []byte(c.message), &d, RequestLimits{})
		code := ""
		if err != nil {
			code = err.Code
		}
		if f.Type != c.typ || f.StreamID != c.stream || string(f.Body) != c.body || code != c.code {
			t.Errorf("%s: %+v %s %v", c.message, f, f.Body, err)
		}
	}
}

func TestEachFrame(t *testing.T) {
	const stream = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n: keep-alive\n\n" +
		"event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\nevent: response.failed\ndata: {\"type\":\"response.failed\"}\n\ndata: [DONE]\n\n"
	var got []string
	_, _ = EachFrame(nil, []byte(stream), "l", 502, func(m []byte) error {
		got = append(got, string(m))
		return nil
	})
	want := `{"type":"response.created","stream_id":"l"} {"type":"error","error":{},"status":502,"stream_id":"l"} {"type":"response.failed","stream_id":"l"}`
	if strings.Join(got, " ") != want {
		t.Errorf("%s", got)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"type":"response.create","model":"m","input":"x","stream_id":"a"}`))
	f.Add([]byte(`{"type":"response.steer","input":[{}]}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		var fr Frame
		var d jsonx.Doc
		if fr.Parse(nil, message, &d, RequestLimits{}) != nil {
			return
		}
		if fr.Type == "response.create" && !jsonx.Valid(fr.Body) {
			t.Errorf("%q becomes %q", message, fr.Body)
		}
		if !jsonx.Valid(fr.AppendSteerFailed(nil)) || !jsonx.Valid(errMissing("x").AppendFrame(nil, fr.StreamID, "a", "b")) {
			t.Errorf("%q", message)
		}
	})
}
