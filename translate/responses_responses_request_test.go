package translate

import (
	"bytes"
	"strings"
	"testing"
)

// prefixSealer is a Sealer whose envelopes begin with "ours.".
type prefixSealer struct{}

func (prefixSealer) Seal(dst, plain []byte) ([]byte, bool) {
	return append(append(dst, "ours."...), plain...), true
}

func (prefixSealer) Open(dst, sealed []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(sealed, []byte("ours."))
	return append(dst, rest...), ok
}

// TestOwnResponses: the request for a backend that keeps no state has all that it
// goes on with, and what only a backend with state understands is not in it.
func TestOwnResponses(t *testing.T) {
	past := [][]byte{
		[]byte(`"one"`),
		[]byte(`[{"id":"rs_1","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"open"}]},` +
			`{"id":"rs_2","type":"reasoning","summary":[],"encrypted_content":"ours.x"},` +
			`{"id":"rs_3","type":"reasoning","summary":[],"encrypted_content":"theirs"},` +
			`{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"a \"reasoning\"","annotations":[]}]}]`),
	}
	for _, checks := range []bool{false, true} {
		var r Request
		if err := r.Parse([]byte(`{"model":"m","input":[{"role":"user","content":"two"}],"previous_response_id":"resp_1","store":true,`+
			`"background":true,"temperature":0.5,"seed":null}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		losses := new(Losses)
		opt := OwnResponsesOptions{Model: "theirs-1", Past: past, Losses: losses}
		if checks {
			opt.Sealer = prefixSealer{}
		}
		got, err := r.AppendOwnResponses(nil, opt)
		if err != nil {
			t.Fatal(err)
		}
		for part, want := range map[string]bool{
			`"rs_1"`: !checks, `"rs_2"`: !checks, `"rs_3"`: true, `"msg_1"`: true, `"text":"one"`: true, `"two"`: true,
			`"store":false`: true, `"model":"theirs-1"`: true, `"temperature":0.5`: true,
			`previous_response_id`: false, `background`: false, `null`: false,
		} {
			if strings.Contains(string(got), part) != want {
				t.Errorf("checks %v: %s: not %v in %s", checks, part, want, got)
			}
		}
		if lines := string(lossLines(losses)); strings.HasPrefix(lines, "mend.reasoning ") != checks || strings.Count(lines, "mend.reasoning") > 1 {
			t.Errorf("checks %v: %s", checks, lines)
		}
	}
}
