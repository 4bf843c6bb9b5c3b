package translate

import (
	"strings"
	"testing"
)

// What o200k and cl100k count, for texts of several kinds; the estimate must lie
// within a quarter of both.
func TestEstimateText(t *testing.T) {
	for _, c := range []struct {
		text      string
		low, high int64 // what the two tokenizers count
	}{
		{"The quick brown fox jumps over the lazy dog, and then it runs away because the dog has woken up.", 23, 23},
		{"func (s *Server) Shutdown(ctx context.Context) error {\n\ts.Drain()\n\treturn s.http.Shutdown()\n}\n", 24, 24},
		{`{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}`, 27, 27},
		{"Вчера вечером мы долго гуляли по набережной и разговаривали о будущем.", 18, 32},
		{"昨日の夜、私たちは海岸を長い間散歩して、将来について話しました。", 23, 34},
	} {
		got := estimateText(c.text)
		if got < c.low*3/4 || got > c.high*5/4 {
			t.Errorf("%d tokens, but the tokenizers make it %d and %d: %s", got, c.low, c.high, c.text)
		}
	}
	if got := estimateText(""); got != 0 {
		t.Errorf("nothing takes %d tokens", got)
	}
	// Time must not depend on what is said: one pass.
	if got := estimateText(strings.Repeat("a", 1<<20)); got < 100_000 || got > 1<<20 {
		t.Errorf("%d", got)
	}
}

func TestEstimateTokens(t *testing.T) {
	base := EstimateTokens([]byte(`{"model":"m","messages":[{"role":"user","content":"hello there"}]}`))
	for more, chat := range map[int64]string{
		0:              `{"model":"another","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hello there"}]}]}`,
		tokensPerImage: `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hello there"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}`,
		tokensPerFile:  `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hello there"},{"type":"file","file":{"file_id":"f"}}]}]}`,
	} {
		if got := EstimateTokens([]byte(chat)); got != base+more {
			t.Errorf("%d, want %d: %s", got, base+more, chat)
		}
	}
	if with := EstimateTokens([]byte(`{"messages":[{"role":"user","content":"hello there"}],"tools":[{"type":"function","function":{"name":"f"}}]}`)); with <= base {
		t.Errorf("tools take %d tokens", with-base)
	}
	if EstimateTokens([]byte(`no JSON`)) == 0 {
		t.Error("no estimate")
	}
}

func TestNoteEstimate(t *testing.T) {
	var l Losses
	NoteEstimate(&l)
	if len(l.Entries) != 1 || l.Refusal() != nil {
		t.Errorf("%+v", l)
	}
}

func TestTokenizerQuestions(t *testing.T) {
	chat := []byte(`{"model":"m","messages":[{"role":"user","content":"é\n"}],"tools":[1],"stream":true,"max_tokens":5}`)
	const asked = `{"model":"m","messages":[{"role":"user","content":"é\n"}],"tools":[1],"add_generation_prompt":true}`
	for _, tok := range []Tokenizer{TokenizerMessages, TokenizerTemplate} {
		if got, ok := tok.AppendQuestion(nil, 0, chat, nil); !ok || string(got) != asked {
			t.Errorf("%s: %s", tok, got)
		}
	}
	got, ok := TokenizerTemplate.AppendQuestion(nil, 1, chat, []byte(`{"prompt":"<s>é\n"}`))
	if !ok || string(got) != `{"content":"<s>é\n","add_special":true,"parse_special":true}` {
		t.Errorf("%s", got)
	}
	for _, reply := range []string{``, `[]`, `{}`, `{"prompt":5}`} {
		if got, ok := TokenizerTemplate.AppendQuestion(nil, 1, chat, []byte(reply)); ok {
			t.Errorf("%s: %s", reply, got)
		}
	}
	for reply, want := range map[string]int64{`{"count":7,"tokens":[1]}`: 7, `{"tokens":[1,2,3]}`: 3, `{"tokens":[]}`: 0, `{}`: -1, `x`: -1, `{"count":-1}`: -1, `{"count":"7"}`: -1} {
		n, ok := TokenizerMessages.Answer([]byte(reply))
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%s: %d %v", reply, n, ok)
		}
	}
}
