package translate

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// What a stream adds up to is the answer that it would have been as a whole.
func TestChatFold(t *testing.T) {
	for _, c := range []struct{ name, chunks, want string }{
		{"text", `{"id":"a","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"f","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"obfuscation":"xx"}
{"id":"a","choices":[{"index":0,"delta":{"content":"He\""},"finish_reason":null}]}
{"id":"a","choices":[{"index":0,"delta":{"content":"llo \ud83d"},"finish_reason":null}]}
{"id":"a","choices":[{"index":0,"delta":{"content":"\ude00"},"finish_reason":null}]}
{"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}
{"id":"a","choices":[],"usage":{"total_tokens":3}}`,
			`{"id":"own","object":"chat.completion","created":5,"model":"m","system_fingerprint":"f","usage":{"total_tokens":3},"choices":[{"index":0,"message":{"role":"assistant","content":"He\"llo \ud83d\ude00","refusal":null},"logprobs":null,"finish_reason":"stop"}]}`},
		{"calls", `{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}}]}
{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"{"}},{"index":0,"id":"","function":{"name":"f","arguments":"{\"a\""}}]}}]}
{"choices":[{"index":0,"delta":{"role":"","tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"function":{"arguments":"}"}}]}}]}
{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
			`{"id":"own","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}]}`},
		{"two choices, logprobs, lists and what nobody knows", `{"choices":[{"index":1,"delta":{"content":"B","reasoning_content":"t"},"logprobs":{"content":[{"token":"B"}]}}]}
{"choices":[{"index":0,"delta":{"content":"A","annotations":[{"a":1}]}},{"index":1,"delta":{"content":"b","reasoning_content":"h"},"logprobs":{"content":[{"token":"b"}],"refusal":null}}]}
{"choices":[{"index":0,"delta":{"annotations":[{"a":2}],"audio":{"id":1}},"finish_reason":"length"},{"index":1,"delta":{},"finish_reason":"stop"}]}`,
			`{"id":"own","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"A","refusal":null,"annotations":[{"a":1},{"a":2}],"audio":{"id":1}},"logprobs":null,"finish_reason":"length"},{"index":1,"message":{"role":"assistant","content":"Bb","refusal":null,"reasoning_content":"th"},"logprobs":{"content":[{"token":"B"},{"token":"b"}],"refusal":null},"finish_reason":"stop"}]}`},
	} {
		var f ChatFold
		lines := strings.Split(c.chunks, "\n")
		for i, line := range lines {
			if f.Whole() && i < len(lines)-1 {
				t.Errorf("%s: whole before %s", c.name, line)
			}
			out := f.Chunk(nil, []byte(line), "own")
			var got, want map[string]any
			if json.Unmarshal(out, &got) != nil || json.Unmarshal([]byte(line), &want) != nil {
				t.Fatalf("%s: %s", c.name, out)
			}
			want["id"] = "own"
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s became %s", c.name, line, out)
			}
		}
		got := f.Append(nil, "own")
		var a, b any
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%s: %v in %s", c.name, err, got)
		}
		_ = json.Unmarshal([]byte(c.want), &b)
		if !reflect.DeepEqual(a, b) || !f.Whole() {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	var f ChatFold
	for _, odd := range []string{"", "[DONE]", "x", `[]`, `{"error":{}}`, `{"choices":5}`} {
		if got := f.Chunk(nil, []byte(odd), "own"); string(got) != odd {
			t.Errorf("%q became %q", odd, got)
		}
	}
	if f.Whole() {
		t.Error("nothing is whole")
	}
}

// Whatever a stream has in it, what it adds up to is JSON.
func FuzzChatFold(f *testing.F) {
	f.Add([]byte(`{"choices":[{"index":0,"delta":{"content":"a","tool_calls":[{"index":0,"function":{"name":"f","arguments":"{"}}]},"finish_reason":"stop"}]}`), []byte(`{"choices":[{"delta":{"content":["b"]}}]}`))
	f.Add([]byte(`{"choices":[{"delta":{"content":"\ud83d"}}]}`), []byte(`{"choices":[{"delta":{"content":null,"role":5}}]}`))
	f.Add([]byte(`{"choices":[{"index":-1,"logprobs":{"content":[]}},5,{"delta":5}]}`), []byte(`{"choices":[{"delta":{"tool_calls":[5,{"function":5}]}}]}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var fold ChatFold
		for range 2 {
			for _, data := range [][]byte{a, b} {
				out := fold.Chunk(nil, data, "id")
				if json.Valid(data) && !json.Valid(out) {
					t.Errorf("%q became %q", data, out)
				}
			}
		}
		if got := fold.Append(nil, "id"); !json.Valid(got) {
			t.Errorf("%q and %q became %q", a, b, got)
		}
	})
}

func TestStoredChatRequest(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"m","messages":[{"role":"user","content":"x"} ],"store":true}`: `{"model":"m","metadata":{},"completion":{"a":1},"messages":[{"role":"user","content":"x"}]}`,
		`{"model":"m","messages":[],"store":true,"metadata":{"a": "b"}}`:         `{"model":"m","metadata":{"a":"b"},"completion":{"a":1},"messages":[]}`,
		`{"model":"m","messages":[]}`:                                            "", `{"model":"m","messages":[],"store":false}`: "", `{"store":true}`: "", `x`: "", `[]`: "",
	} {
		c, err := ReadStoredChat([]byte(body), RequestLimits{})
		got := ""
		if c != nil {
			got = string(c.Append(nil, []byte(`{"a":1}`)))
		}
		if err != nil || got != want {
			t.Errorf("%s: %s %v", body, got, err)
		}
	}
	if got := string(AppendUnstored(nil, []byte(`{ "store":true, "model":"m","metadata":{"a":"b"}, "n":[1, 2]}`))); got != `{"model":"m","n":[1, 2]}` {
		t.Error(got)
	}
	var rec ChatRecord
	for _, bad := range []string{"", "{}", `{"model":"m","metadata":{},"completion":[],"messages":[]}`} {
		if rec.Parse([]byte(bad)) {
			t.Errorf("%q is no record", bad)
		}
	}
}
