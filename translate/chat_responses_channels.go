package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// gpt-oss writes in channels (github.com/openai/harmony): what it thinks in "analysis", what it
// says in "final", calls and what it says before them in "commentary". Servers that do not
// read the format leave its tokens in the text. Where a text begins with them it is taken
// apart; elsewhere they are what the text is about.

type channelState uint8

const (
	channelsProbe  channelState = iota // nothing has been said
	channelsOff                        // the text has no channels
	channelHead                        // between a token that begins a message and <|message|>
	channelThought                     // in analysis
	channelText                        // in final, or commentary for the user
	channelCall                        // in commentary for a tool
	channelBetween                     // behind a message
)

// channelReader takes a text in channels apart.
type channelReader struct {
	state channelState
	held  []byte // the inside of a JSON string that waits: for the rest of a token, a header, of a call
	tool  []byte // whom the call is for
	busy  bool   // that call is being made
	out   []byte // scratch
}

// maxChannelHead bounds the header of a message.
const maxChannelHead = 512

const messageToken = "<|message|>"

// channelOpenings are what a text in channels can begin with.
var channelOpenings = [...]string{
	"<|channel|>analysis", "<|channel|>final", "<|channel|>commentary", "<|start|>assistant<|channel|>", "<|start|>assistant to=",
}

// channelTokens are those that end a message, or begin the next one.
var channelTokens = [...]string{"<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"}

func (c *channelReader) reset() {
	*c = channelReader{held: c.held[:0], tool: c.tool[:0], out: c.out[:0]}
}

// contentText takes in the text of a reply, which may be in channels.
func (t *Turn) contentText(dst, raw []byte, kind jsonx.StringKind, logprobs []byte) []byte {
	c := &t.channels
	if c.state == channelsOff || len(raw) == 0 {
		return t.taggedText(dst, raw, kind, logprobs)
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	c.held = append(c.held, raw...)
	if c.state == channelsProbe {
		i, count := spaces(c.held)
		begun, part := false, false
		for _, word := range channelOpenings {
			n, whole := tagPrefix(c.held[i:], word)
			begun = begun || whole
			part = part || i+n == len(c.held)
		}
		switch {
		case begun:
			t.lose(ruleReplyChannels, outputPath(len(t.order)), "")
			c.state = channelBetween
		case part && count <= maxHeldSpace:
			if count > 0 && i == len(c.held) || t.opt.Request.IncludeLogprobs { // white space is no reason to wait
				return t.channelsEnd(dst, logprobs, kind)
			}
			return dst
		default:
			return t.channelsEnd(dst, logprobs, kind)
		}
	}
	t.shape.clear()
	return t.readChannels(dst, kind|jsonx.HasSurrogate)
}

// channelsEnd says what is held as text: there are no channels.
func (t *Turn) channelsEnd(dst, logprobs []byte, kind jsonx.StringKind) []byte {
	c := &t.channels
	c.state = channelsOff
	return t.taggedText(dst, t.heldChannels(), kind, logprobs)
}

// heldChannels takes what is held.
func (t *Turn) heldChannels() []byte {
	c := &t.channels
	c.out = append(c.out[:0], c.held...)
	t.held -= len(c.held)
	c.held = c.held[:0]
	return c.out
}

// readChannels takes apart what is held, as far as it goes.
func (t *Turn) readChannels(dst []byte, kind jsonx.StringKind) []byte {
	c := &t.channels
	for len(c.held) > 0 && t.state < stateEnded {
		switch c.state {
		case channelBetween:
			i, _ := spaces(c.held)
			token, n, part := channelToken(c.held[i:])
			switch {
			case n == 0 && (part || i == len(c.held)):
				return dst
			case n == 0: // text without a header
				c.state = channelText
			case token == "<|start|>" || token == "<|channel|>":
				c.state = channelHead
			default:
				c.drop(t, i+n)
			}
		case channelHead:
			at, n := findToken(c.held, messageToken)
			if n == 0 {
				if len(c.held) > maxChannelHead {
					return t.channelsEnd(dst, nil, kind)
				}
				return dst
			}
			c.head(jsonx.AppendUnescaped(nil, c.held[:at]))
			c.drop(t, at+n)
		default:
			at, part := len(c.held), false
			for i := 0; i < len(c.held); {
				if b := c.held[i]; b == '<' || b == '\\' {
					_, n, some := channelToken(c.held[i:])
					if n > 0 || some {
						at, part = i, n == 0
						break
					}
				}
				_, size := character(c.held[i:])
				i += size
			}
			ended := at < len(c.held) && !part
			if c.state == channelCall {
				if !ended {
					return dst
				}
				dst = t.channelCalled(dst, at, kind)
			} else {
				dst = t.channelSaid(dst, at, kind)
			}
			if !ended {
				return dst
			}
			c.state = channelBetween
		}
	}
	return dst
}

// drop takes so much of what is held away.
func (c *channelReader) drop(t *Turn, n int) {
	t.held -= n
	c.held = append(c.held[:0], c.held[n:]...)
}

// channelToken finds the token that raw begins with: n is 0 if there is none, and part says
// whether there may be one yet.
func channelToken(raw []byte) (token string, n int, part bool) {
	for _, word := range channelTokens {
		k, whole := tagPrefix(raw, word)
		if whole {
			return word, k, false
		}
		part = part || k > 0 && k == len(raw)
	}
	return "", 0, part
}

// findToken finds a token anywhere in raw; n is 0 if it is not there.
func findToken(raw []byte, token string) (at, n int) {
	for i := 0; i < len(raw); {
		if k, whole := tagPrefix(raw[i:], token); whole {
			return i, k
		}
		_, size := character(raw[i:])
		i += size
	}
	return 0, 0
}

// head reads the header of a message.
func (c *channelReader) head(head []byte) {
	_, channel, _ := bytes.Cut(head, []byte("<|channel|>"))
	c.state = channelText
	if bytes.HasPrefix(bytes.TrimSpace(channel), []byte("analysis")) {
		c.state = channelThought
	}
	if i := bytes.LastIndex(head, []byte("to=")); i >= 0 {
		tool, _, _ := bytes.Cut(head[i+len("to="):], []byte(" "))
		tool, _, _ = bytes.Cut(tool, []byte("<"))
		c.tool, c.state = append(c.tool[:0], tool...), channelCall
	}
}

// channelSaid says the message at hand up to there.
func (t *Turn) channelSaid(dst []byte, to int, kind jsonx.StringKind) []byte {
	c := &t.channels
	if to == 0 {
		return dst
	}
	c.out = append(c.out[:0], c.held[:to]...)
	c.drop(t, to)
	if c.state == channelThought {
		return t.thought(dst, c.out, kind)
	}
	return t.text(dst, c.out, kind, nil)
}

// channelCalled makes the call that stands in what is held up to there, or says it as text
// where there is no such tool.
func (t *Turn) channelCalled(dst []byte, to int, kind jsonx.StringKind) []byte {
	c := &t.channels
	s := &t.opt.Request.tools
	name := jsonx.AppendEscaped(nil, c.tool)
	arguments := bytes.TrimSpace(jsonx.AppendUnescaped(nil, c.held[:to]))
	tool, _ := s.called(name)
	if tool == nil || !s.permits(tool) {
		t.lose(ruleReplyCallMarkup, outputPath(len(t.order)), string(name))
		return t.channelSaid(dst, to, kind)
	}
	c.drop(t, to)
	c.busy = true
	dst = t.madeCall(dst, c.tool, arguments)
	c.busy = false
	return dst
}

// flushChannels says what is held at the end of a text.
func (t *Turn) flushChannels(dst []byte) []byte {
	c := &t.channels
	if len(c.held) == 0 || c.busy {
		return dst
	}
	const kind = jsonx.HasSurrogate | jsonx.HasEscape
	switch c.state {
	case channelThought, channelText: // what waits is the beginning of a token
		if len(c.held) == 1 {
			return t.channelSaid(dst, 1, kind)
		}
	case channelCall:
		return t.channelCalled(dst, len(c.held), kind)
	case channelsProbe:
		return t.channelsEnd(dst, nil, kind)
	}
	t.heldChannels() // tokens that say nothing
	return dst
}
