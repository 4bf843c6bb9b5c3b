package translate

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// What a backend says of an error, wherever it says it, and which of it means that the
// context is full.

// maxWords bounds a body in which words are looked for although it is no JSON.
const maxWords = 64 << 10

// wordKeys are the members in which errors have their words, the best first.
var wordKeys = []string{
	"message", "error_message", "errorMessage", "error_msg", "msg", "err_msg", "errmsg", "status_msg",
	"Message", "faultstring", "error_description", "reason", "title",
}

// nestedKeys are the members in which another error stands, or a list of them.
var nestedKeys = []string{
	"error", "errors", "detail", "details", "Error", "err", "fault", "base_resp", "cause", "innererror", "body", "data", "response", "result",
}

// errorWords finds the words of the error in a value: those of its own, and those of the
// provider behind a router, which stand in metadata.raw. They may stand in an error in an
// error, in a list, or in JSON within a string. It is empty if there are none.
func errorWords(d *jsonx.Doc, n uint32, depth int) string {
	if depth > 6 {
		return ""
	}
	switch d.Kind(n) {
	case jsonx.String:
		return wordsIn(d.Text(n), depth)
	case jsonx.Array:
		return listWords(d, n, depth)
	case jsonx.Object:
	default:
		return ""
	}
	if v := d.Get(n, "error"); depth == 0 && d.Present(v) { // beside it a message is about something else
		if words := errorWords(d, v, depth+1); words != "" {
			if d.Kind(v) == jsonx.String {
				for _, key := range [...]string{"message", "error_description"} {
					words = joinWords(words, errorWords(d, d.Get(n, key), depth+1))
				}
				return words
			}
			return words
		}
	}
	words := ""
	for _, key := range wordKeys {
		if words = errorWords(d, d.Get(n, key), depth+1); words != "" {
			if key == "title" { // of problem details (RFC 9457): the name of a status, and what happened
				words = joinWords(words, errorWords(d, d.Get(n, "detail"), depth+1))
			}
			break
		}
	}
	if raw := d.Get(d.Get(n, "metadata"), "raw"); d.Present(raw) {
		words = joinWords(words, errorWords(d, raw, depth+1))
	}
	if words != "" {
		return words
	}
	for _, key := range nestedKeys {
		if v := d.Get(n, key); d.Present(v) {
			if words = errorWords(d, v, depth+1); words != "" {
				return words
			}
		}
	}
	if choices := d.Get(n, "choices"); d.Kind(choices) == jsonx.Array && d.Len(choices) > 0 {
		c := d.First(choices)
		for _, v := range [...]uint32{c, d.Get(c, "delta"), d.Get(c, "message")} {
			if v = d.Get(v, "error"); d.Present(v) {
				return errorWords(d, v, depth+1)
			}
		}
	}
	return ""
}

// listWords joins the words of a list of errors. FastAPI's have the place of the fault
// in loc.
func listWords(d *jsonx.Doc, n uint32, depth int) string {
	all := ""
	for v, end := d.First(n), d.End(n); v < end && len(all) < 1000; v = d.Next(v) {
		words := errorWords(d, v, depth+1)
		if loc := d.Get(v, "loc"); words != "" && d.Kind(loc) == jsonx.Array {
			place := ""
			for l, lend := d.First(loc), d.End(loc); l < lend; l = d.Next(l) {
				if place != "" {
					place += "."
				}
				place += strings.Trim(string(d.Raw(l)), `"`)
			}
			words = place + ": " + words
		}
		switch {
		case words == "" || strings.Contains(all, words):
		case all == "":
			all = words
		default:
			all += "; " + words
		}
	}
	return all
}

// wordsIn reads a message, which may be JSON, or JSON behind some words.
func wordsIn(text string, depth int) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexAny(text, "{["); i >= 0 && len(text)-i > 8 && (text[len(text)-1] == '}' || text[len(text)-1] == ']') {
		var inner jsonx.Doc
		if inner.Parse([]byte(text[i:]), lenientLimits) == nil {
			if words := errorWords(&inner, jsonx.Root, depth+1); words != "" {
				return joinWords(strings.TrimRight(text[:i], " :-\n"), words)
			}
		}
	}
	if isMarkup([]byte(text)) {
		return printable([]byte(text), 500)
	}
	return text
}

// joinWords puts what somebody has said behind what somebody else has made of it.
func joinWords(outer, inner string) string {
	switch {
	case inner == "" || strings.Contains(outer, inner):
		return outer
	case outer == "" || strings.Contains(inner, outer):
		return inner
	}
	return strings.TrimRight(outer, ".: ") + ": " + inner
}

// printable makes the beginning of a body fit for a message: one line of text, of an
// HTML page its title, and nothing that looks like a credential.
func printable(body []byte, most int) string {
	body = body[:min(len(body), maxWords)]
	if isMarkup(body) {
		for _, tag := range [...]string{"title", "h1", "message", "Message"} {
			_, after, found := bytes.Cut(body, []byte("<"+tag))
			if !found {
				continue
			}
			if _, inside, ok := bytes.Cut(after, []byte(">")); ok {
				text, _, _ := bytes.Cut(inside, []byte("<"))
				if bytes.ContainsFunc(text, unicode.IsLetter) { // the title of some is only the status
					return printable(text, most)
				}
			}
		}
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(body[:min(len(body), 4*most)]), " "))
	return ellipsis(withoutSecrets(strings.Join(strings.Fields(text), " ")), most)
}

// isMarkup reports whether a text is HTML or XML.
func isMarkup(text []byte) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 1 && text[0] == '<' && (text[1] == '!' || text[1] == '?' || text[1]|0x20 >= 'a' && text[1]|0x20 <= 'z')
}

// secretBeginnings are how credentials begin that servers like to repeat.
var secretBeginnings = []string{"Bearer ", "bearer ", "Basic ", "sk-", "sk_", "AIza", "gsk_", "hf_", "xai-", "pplx-", "nvapi-", "eyJ"}

// withoutSecrets leaves out what looks like a credential.
func withoutSecrets(text string) string {
	for _, mark := range secretBeginnings {
		for from := 0; ; {
			i := strings.Index(text[from:], mark)
			if i < 0 {
				break
			}
			i += from + len(mark)
			j := i
			for j < len(text) && (isTokenLetter(text[j])) {
				j++
			}
			if from = i; j-i >= 8 {
				text = text[:i] + "***" + text[j:]
			}
		}
	}
	return text
}

func isTokenLetter(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.+/=*", c) >= 0
}

// contextWords are how backends say that the context is full: lower case.
var contextWords = []string{
	"maximum context", "max context length", "context_length_exceeded", "context window",
	"exceeds the available context size", "exceed_context_size", "prompt is too long", "prompt too long", "input is too long", "input too long",
	"is longer than the maximum model length", "reduce the length of the messages", "reduce the length of the input",
	"maximum prompt length", "maximum number of tokens allowed", "`inputs` tokens + `max_new_tokens`",
	"exceeded model token limit", "range of input length should be", "prompt exceeds max length", "maximum input length",
	"model is loaded with context length", "contextwindowexceeded", "contextlengthexceeded", "max_model_len", "max_seq_len", "max_prompt_tokens_exceeded",
	"model_max_prompt_tokens_exceeded", "too many input tokens", "number of tokens in the prompt", "tokens in prompt exceed",
	"context size is", "context length is",
}

// overWords say that something is more than it may be.
var overWords = []string{
	"exceed", "too long", "too large", "too big", "too many", "longer than", "larger than", "greater than", "more than", "bigger than",
	"overflow", "not fit", "n't fit", "ran out", "out of", "is full", "beyond", "over the", "above the", "reached", "surpass",
}

// contextThings stand beside "context" where it is that of a model.
var contextThings = []string{"context length", "context size", "context limit", "context of", "token", "prompt", "n_ctx", "the context", "model's context", "model context"}

// inputWords name what goes in.
var inputWords = []string{"prompt", "input", "message", "conversation", "request"}

// rateLimits and answerLimits are bounds that a shorter context would not keep: of rates
// and accounts, and of the answer and the length of names.
var (
	rateLimits   = []string{"per minute", "per day", "per second", "per hour", "rate limit", "rate_limit", "quota", "tpm", "rpm", "credits", "billing"}
	answerLimits = []string{
		"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "output token", "completion token",
		"character", "budget_tokens", "thinking budget",
	}
)

// saysContextFull reports whether the words of an error mean that the context is full.
func saysContextFull(msg string) bool {
	msg = strings.ToLower(msg)
	if containsAny(msg, contextWords) {
		return !containsAny(msg, rateLimits)
	}
	if !containsAny(msg, overWords) || containsAny(msg, rateLimits) || containsAny(msg, answerLimits) {
		return false
	}
	if strings.Contains(msg, "context") {
		return containsAny(msg, contextThings)
	}
	return strings.Contains(msg, "token") && containsAny(msg, inputWords)
}

func (e *Error) isContextOverflow() bool {
	switch {
	case e.Code == "context_length_exceeded", e.Type == "exceed_context_size_error", e.Code == "model_max_prompt_tokens_exceeded":
		return true
	case e.Status == 401, e.Status == 403, e.Status == 429, e.Code == "rate_limit_exceeded":
		return false
	}
	return saysContextFull(e.Message)
}
