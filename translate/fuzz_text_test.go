package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// FuzzUpstreamError: whatever a backend answers with an error status, the client
// gets a whole error of the API, bounded in size.
func FuzzUpstreamError(f *testing.F) {
	for _, c := range goldenCases(f) {
		if line, body, ok := bytes.Cut(c.File("upstream.err"), []byte("\n")); ok {
			status, _ := strconv.Atoi(string(line))
			f.Add(status, bytes.TrimSpace(body))
		}
	}
	paths, _ := filepath.Glob("../testdata/transcripts/*.res.txt")
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		if fields := strings.Fields(string(head)); len(fields) > 1 && fields[1] >= "400" {
			status, _ := strconv.Atoi(fields[1])
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 599 {
			status = 400 + int(uint(status)%200)
		}
		given := bytes.Clone(body)
		e := UpstreamError(status, body)
		if !bytes.Equal(given, body) {
			t.Error("the body was changed")
		}
		if e.Status < 400 || e.Status > 599 || e.Type == "" || e.Message == "" || e.Origin != OriginUpstream {
			t.Errorf("%+v", e)
		}
		if status == 401 && e.Status != 401 {
			t.Errorf("401 became %d", e.Status)
		}
		if e.ContextOverflow() != (e.Code == "context_length_exceeded" && e.Param == "input" && e.Status < 500) {
			t.Errorf("an overflow of another form: %+v", e)
		}
		if strings.HasPrefix(e.Param, "messages") || e.Param == "max_tokens" {
			t.Errorf("param %q is of the chat API", e.Param)
		}
		out := e.AppendBody(nil)
		var got struct {
			Error struct {
				Message, Type string
				Param, Code   *string
			}
		}
		if err := json.Unmarshal(out, &got); err != nil || !utf8.Valid(out) {
			t.Errorf("%s: %v", out, err)
		}
		if len(e.Message) > 2100 || len(out) > 64<<10 {
			t.Errorf("%d bytes of message, %d in all", len(e.Message), len(out))
		}
		if c := got.Error.Code; c != nil {
			if _, err := strconv.Atoi(*c); err == nil || *c == "" {
				t.Errorf("code %q", *c)
			}
		}
	})
}

// thinkWant parts text as the template means it: a reference that looks at the
// whole text at once. sure is false if there may be another block after the first.
func thinkWant(text string, tags ThinkTags) (thought, said string, sure bool) {
	const space = " \t\r\n"
	rest, pair, tagged := text, thinkTags[0], false
	if tags == TagsOff {
		return "", text, true
	}
	trimmed := strings.TrimLeft(text, space)
	if tags == TagsAuto && len(text)-len(trimmed) > maxHeldSpace {
		return "", text, true
	}
	for _, tag := range thinkTags {
		if strings.HasPrefix(trimmed, tag.open) {
			rest, pair, tagged = trimmed[len(tag.open):], tag, true
			break
		}
		if tags == TagsAuto && strings.HasPrefix(trimmed, tag.close) {
			return "", strings.TrimLeft(trimmed[len(tag.close):], space), true
		}
	}
	if tags == TagsAuto && !tagged {
		return "", text, true
	}
	rest = strings.TrimLeft(rest, space)
	thought, said, closed := strings.Cut(rest, pair.close)
	if !closed {
		return rest, "", true
	}
	if trimmed := strings.TrimRight(thought, space); len(thought)-len(trimmed) <= maxHeldSpace {
		thought = trimmed
	}
	said = strings.TrimLeft(said, space)
	for _, tag := range thinkTags {
		if tagged && strings.Contains(said, tag.open) {
			return thought, said, false
		}
	}
	return thought, said, true
}

// thinkParts feeds the pieces and writes down what is reasoning and what is text.
func thinkParts(t *testing.T, mode ThinkTags, pieces []string) (parts []string) {
	var s thinkSplitter
	s.reset(mode)
	take := func(thought, said []byte) {
		for i, part := range [...][]byte{thought, said} {
			kind := [...]string{"thought:", "text:"}[i]
			switch {
			case len(part) == 0:
			case len(parts) > 0 && strings.HasPrefix(parts[len(parts)-1], kind):
				parts[len(parts)-1] += string(part)
			default:
				parts = append(parts, kind+string(part))
			}
		}
	}
	for _, p := range pieces {
		take(s.split([]byte(p)))
		for s.again() {
			take(s.split(nil))
		}
		if len(s.held) > 8*maxHeldSpace {
			t.Errorf("%d bytes held", len(s.held))
		}
	}
	take(s.finish())
	for i := range parts {
		parts[i] = string(jsonx.AppendUnescaped(nil, []byte(parts[i])))
	}
	return parts
}

// escapeSome writes text as the inside of a JSON string, with escapes where r
// wants them, and returns the pieces that a stream could cut it into.
func escapeSome(text string, r *rand.Rand) (pieces []string) {
	for _, c := range text {
		piece := string(jsonx.AppendEscaped(nil, string(c)))
		if c < utf8.RuneSelf && r.IntN(4) == 0 {
			piece = fmt.Sprintf(`\u%04x`, c)
		}
		if c == '/' && r.IntN(2) == 0 {
			piece = `\/`
		}
		pieces = append(pieces, piece)
	}
	return pieces
}

// FuzzThink: how the text is cut and escaped does not show in where reasoning
// ends and text begins.
func FuzzThink(f *testing.F) {
	for i, s := range []string{
		"<think>a</think>b", " \n<think>\n a \n</think>\n\n b <think>c</think>", "<thin", "<think", "<think>", "<think><think>a</think></think>",
		"no tags", "a</think>b", "<think>a</thin</think>b", "<think>a < b </ c </think> d", "\t\r\n", "<think> \n </think>", "",
		"<think>" + strings.Repeat(" ", 300) + "</think>x", strings.Repeat("\n", 300) + "<think>x</think>", "<think>é😀</think>\u00a0ü",
		"<think>a" + strings.Repeat(" \n", 140) + "</think>b", "<think>a" + strings.Repeat(" ", 256) + "</think>b", "<think>\\</think>\\",
		"<mm:think>a</mm:think>b\n<mm:think>c</mm:think>d", "◁think▷a◁/think▷b", "</think>\n\nb", "[THINK]a[/THINK]b", "<thinking>a</think></thinking>b",
		"<think>a</think>b\n```\n<think>c</think>\n```\n<think>d</think>", "<think>a</think>b <think>c</think>", "<thinclient>7", "</thin",
	} {
		for tags := range byte(3) {
			f.Add(s, tags, uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, text string, tags byte, seed uint64) {
		if !utf8.ValidString(text) || len(text) > 4096 {
			t.Skip()
		}
		mode := []ThinkTags{TagsAuto, TagsOff, TagsImplicit}[tags%3]
		r := rand.New(rand.NewPCG(seed, 2))
		var joined []string
		pieces := escapeSome(text, r)
		for len(pieces) > 0 {
			n := min(1+r.IntN(1+r.IntN(20)), len(pieces))
			joined = append(joined, strings.Join(pieces[:n], ""))
			pieces = pieces[n:]
		}
		got := thinkParts(t, mode, joined)
		if whole := thinkParts(t, mode, []string{string(jsonx.AppendEscaped(nil, text))}); !slices.Equal(got, whole) {
			t.Errorf("%s %q in pieces %q:\n got %q\nwhole %q", mode, text, joined, got, whole)
		}
		thought, said, sure := thinkWant(text, mode)
		if !sure {
			return
		}
		var want []string
		if thought != "" {
			want = append(want, "thought:"+thought)
		}
		if said != "" {
			want = append(want, "text:"+said)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %q:\n got %q\nwant %q", mode, text, got, want)
		}
	})
}
