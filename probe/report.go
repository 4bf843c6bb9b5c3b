package probe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/antiphon-proxy/antiphon/translate"
)

// Write writes the report for people: a table of what was sent and seen, the habits
// that need no setting, and a configuration to paste.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ASKED\tSENT\tSEEN\tFOUND")
	for _, s := range r.Steps {
		var facts []string
		for _, f := range s.Facts {
			facts = append(facts, f.String())
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Name, s.Sent, s.Seen, strings.Join(facts, " "))
	}
	_ = tw.Flush()
	b.WriteString("\nHabits that the translation copes with by itself:\n")
	for _, key := range slices.Sorted(maps.Keys(r.Seen)) {
		fmt.Fprintf(&b, "  %s: %s\n", key, r.Seen[key])
	}
	fmt.Fprintf(&b, "\n%d requests, %d tokens of at most %d.\n", r.Requests, r.Tokens, r.Bound)
	if r.Stopped != "" {
		fmt.Fprintf(&b, "Not everything was asked: %s.\n", r.Stopped)
	}
	fmt.Fprintf(&b, "\n%s", r.Config())
	_, err := io.WriteString(w, b.String())
	return err
}

// Config is a section of the configuration: the preset, and what differs from it.
func (r *Report) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "upstream:\n  url: %s\n  dialect: %s\n", quoted(r.URL), quoted(r.Dialect))
	if o := r.Overrides(); o != "" {
		b.WriteString("  overrides:\n")
		for line := range strings.Lines(o) {
			b.WriteString("    " + line)
		}
	}
	return b.String()
}

// section is a part of a YAML mapping.
type section struct {
	keys     []string
	values   map[string]string
	sections map[string]*section
}

func (s *section) set(path []string, value string) {
	if !slices.Contains(s.keys, path[0]) {
		s.keys = append(s.keys, path[0])
	}
	if len(path) == 1 {
		if s.values == nil {
			s.values = map[string]string{}
		}
		s.values[path[0]] = value
		return
	}
	if s.sections == nil {
		s.sections = map[string]*section{}
	}
	if s.sections[path[0]] == nil {
		s.sections[path[0]] = &section{}
	}
	s.sections[path[0]].set(path[1:], value)
}

func (s *section) write(b *strings.Builder, indent string) {
	for _, key := range s.keys {
		if sub := s.sections[key]; sub != nil {
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			sub.write(b, indent+"  ")
			continue
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, key, s.values[key])
	}
}

// Overrides are the facts as they stand below upstream.overrides in a configuration
// file; "" is none.
func (r *Report) Overrides() string {
	var root section
	var added []string
	params, removed := []string(nil), false
	if d, ok := translate.LookupDialect(r.Dialect); ok {
		params = d.ExtraParams
	}
	for _, f := range r.Facts {
		if name, ok := strings.CutPrefix(f.Key, "extra_params."); ok {
			if f.Value == "true" {
				added = append(added, name)
			} else {
				removed = true
				params = slices.DeleteFunc(params, func(p string) bool { return p == name })
			}
			continue
		}
		value := f.Value
		if value != "true" && value != "false" {
			value = quoted(value)
		}
		root.set(strings.Split(f.Key, "."), value)
	}
	switch {
	case removed:
		root.set([]string{"extra_params"}, "["+strings.Join(append(params, added...), ", ")+"]")
	case len(added) > 0:
		root.set([]string{"extra_params_add"}, "["+strings.Join(added, ", ")+"]")
	}
	var b strings.Builder
	root.write(&b, "")
	return b.String()
}

// quoted is a YAML scalar for text: in quotes unless it is a plain word.
func quoted(s string) string {
	plain := s != ""
	for _, c := range s {
		plain = plain && (c >= 'a' && c <= 'z' || c == '_' || c == '.')
	}
	if plain && s != "true" && s != "false" && s != "null" && s != "yes" && s != "no" && s != "on" && s != "off" {
		return s
	}
	return strconv.QuoteToASCII(s)
}
