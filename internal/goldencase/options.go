package goldencase

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Options are how the exchange of a case is translated. In the file they are lines
// of "key: value".
type Options struct {
	Dialect string    // dialect: the preset
	Set     []Setting // set: key=value, a field of the dialect (translate.Dialect.Set); may be there often
	Model   string    // model: the backend's name for the model
	Loss    string    // loss: allow, warn or strict

	NamePrefix bool // name_prefix: names of chat messages go before their texts
	FinalOnly  bool // final_only: commentary is left out of a chat client's answer
	Reasoning  bool // reasoning: a chat client gets it
	Keep       bool // keep: a chat client's reasoning is kept

	MaxBytes      int    // max_bytes: of one reply
	OpenResponses bool   // open_responses: event names of Open Responses
	Obfuscate     bool   // obfuscate: streams are padded
	Grammar       string // grammar: off, report or repair
	Compaction    string // compaction: encrypted_content of a compaction item before the reply
	Unsealed      bool   // seal: off, there are no keys for envelopes
	OwnIDs        bool   // own_ids: responses of a Responses backend get ids of ours
	ShowRequest   bool   // request: show, what a half-built Responses backend gets is in the output

	ShowEcho   bool // echo: show, the echo of the request is in the output
	ShowStored bool // stored: show, the input items as they are stored are in the output
}

// Setting is the value of one field of a dialect.
type Setting struct{ Key, Value string }

func (s Setting) String() string { return s.Key + "=" + s.Value }

// option is a row of the table of options.
type option struct {
	key   string
	read  func(o *Options, value string) error
	write func(o *Options) (value string) // "" if it says nothing
}

func text(key string, field func(*Options) *string, legal ...string) option {
	return option{
		key: key,
		read: func(o *Options, value string) error {
			if value == "" || len(legal) > 0 && !slices.Contains(legal, value) {
				return fmt.Errorf("%q is not a value of it%s", value, orWords(legal))
			}
			*field(o) = value
			return nil
		},
		write: func(o *Options) string { return *field(o) },
	}
}

// flag has the words for true and false, "" for one that may not be written.
func flag(key, yes, no string, field func(*Options) *bool) option {
	legal := slices.DeleteFunc([]string{yes, no}, func(s string) bool { return s == "" })
	return option{
		key: key,
		read: func(o *Options, value string) error {
			if !slices.Contains(legal, value) {
				return fmt.Errorf("%q is not a value of it%s", value, orWords(legal))
			}
			*field(o) = value == yes
			return nil
		},
		write: func(o *Options) string {
			if *field(o) {
				return yes
			}
			return ""
		},
	}
}

func orWords(legal []string) string {
	if len(legal) == 0 {
		return ""
	}
	return "; it can be " + strings.Join(legal, " or ")
}

// options are all options there are, in the order in which they are written.
var options = []option{
	text("dialect", func(o *Options) *string { return &o.Dialect }),
	{
		key: "set",
		read: func(o *Options, value string) error {
			key, v, ok := strings.Cut(value, "=")
			if !ok || key == "" {
				return fmt.Errorf("%q is not key=value", value)
			}
			o.Set = append(o.Set, Setting{key, v})
			return nil
		},
	},
	text("model", func(o *Options) *string { return &o.Model }),
	text("loss", func(o *Options) *string { return &o.Loss }, "allow", "warn", "strict"),
	flag("name_prefix", "true", "false", func(o *Options) *bool { return &o.NamePrefix }),
	flag("final_only", "true", "false", func(o *Options) *bool { return &o.FinalOnly }),
	flag("reasoning", "true", "false", func(o *Options) *bool { return &o.Reasoning }),
	flag("keep", "true", "false", func(o *Options) *bool { return &o.Keep }),
	{
		key: "max_bytes",
		read: func(o *Options, value string) (err error) {
			if o.MaxBytes, err = strconv.Atoi(value); err != nil || o.MaxBytes < 0 {
				return fmt.Errorf("%q is not a number of bytes", value)
			}
			return nil
		},
		write: func(o *Options) string {
			if o.MaxBytes == 0 {
				return ""
			}
			return strconv.Itoa(o.MaxBytes)
		},
	},
	flag("open_responses", "true", "false", func(o *Options) *bool { return &o.OpenResponses }),
	flag("obfuscate", "true", "false", func(o *Options) *bool { return &o.Obfuscate }),
	text("grammar", func(o *Options) *string { return &o.Grammar }, "off", "report", "repair"),
	text("compaction", func(o *Options) *string { return &o.Compaction }),
	flag("seal", "off", "", func(o *Options) *bool { return &o.Unsealed }),
	flag("own_ids", "true", "false", func(o *Options) *bool { return &o.OwnIDs }),
	flag("request", "show", "", func(o *Options) *bool { return &o.ShowRequest }),
	flag("echo", "show", "", func(o *Options) *bool { return &o.ShowEcho }),
	flag("stored", "show", "", func(o *Options) *bool { return &o.ShowStored }),
}

// parse reads the lines of an options file. What is not an option is an error, and
// so is one, but for set, that is there twice.
func (o *Options) parse(text string) error {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		i := slices.IndexFunc(options, func(opt option) bool { return opt.key == key })
		if i < 0 {
			return fmt.Errorf("options: there is no option %q", key)
		}
		if seen[key] && key != "set" {
			return fmt.Errorf("options: %s is there twice", key)
		}
		seen[key] = true
		if err := options[i].read(o, strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("options: %s: %w", key, err)
		}
	}
	return nil
}

// Format writes the options as lines, without those that say nothing.
func (o *Options) Format() []byte {
	var out []byte
	for _, opt := range options {
		if opt.key == "set" {
			for _, s := range o.Set {
				out = fmt.Appendf(out, "set: %s\n", s)
			}
		} else if value := opt.write(o); value != "" {
			out = fmt.Appendf(out, "%s: %s\n", opt.key, value)
		}
	}
	return out
}
