package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
)

// Overrides change single fields of a dialect. The keys are the yaml tags of
// translate.Dialect, and extra_params_add. A map changes only the names it has:
//
//	accepts: {verbosity: true}
//	tools: {choices: {named: false}}
//	reasoning: {efforts: {minimal: low}}
//
// extra_params replaces the preset's list, extra_params_add adds to it.
type Overrides struct {
	settings []*setting // each is known to be assignable
	depth    int        // how many segments of their paths lead here
}

// overridable is what Overrides are assigned to.
type overridable struct {
	translate.Dialect `yaml:",inline"`
	ExtraParamsAdd    []string `yaml:"extra_params_add"`
}

// ParseOverrides reads overrides as they stand below upstream.overrides in a
// file. The name is for complaints. Environment variables are not looked up.
func ParseOverrides(name, text string) (Overrides, error) {
	r := reader{file: name, places: map[string]place{}, lookup: func(string) (string, bool) { return "", false }}
	r.read([]byte(text))
	var o Overrides
	for _, s := range r.settings {
		if err := o.add(s, 0); err != nil {
			r.errs = append(r.errs, err)
		}
	}
	return o, joined(r.errs)
}

// Sets reports whether the overrides decide about a field of the dialect, given by
// its key with dots. An entry of extra_params is decided about with the list.
func (o Overrides) Sets(key string) bool {
	if refused, ok := strings.CutPrefix(key, "responses.refuses."); ok {
		for param, name := range responsesNames {
			if name == refused && o.Sets("accepts."+param) {
				return true
			}
		}
		return o.Sets("responses.refuses")
	}
	path := strings.Split(key, ".")
	if path[0] == "extra_params" {
		path = path[:1]
	}
	return slices.ContainsFunc(o.settings, func(s *setting) bool {
		own := s.path[o.depth:]
		return len(own) >= len(path) && slices.Equal(own[:len(path)], path) || path[0] == "extra_params" && own[0] == "extra_params_add"
	})
}

// Facts are the overrides as facts about the dialect. A list that takes the place
// of the preset's is not among them.
func (o Overrides) Facts() (facts []translate.Fact) {
	for _, s := range o.settings {
		path := s.path[o.depth:]
		switch {
		case path[0] == "extra_params_add":
			for _, name := range s.list {
				facts = append(facts, translate.Fact{Key: "extra_params." + name, Value: "true"})
			}
		case s.kind != kindList:
			facts = append(facts, translate.Fact{Key: strings.Join(path, "."), Value: s.text})
		}
	}
	return facts
}

// responsesNames are the names in the Responses API of what accepts is about. What has
// none there, or is a matter of another setting, is refused: see acceptResponses.
var responsesNames = map[string]string{
	"temperature": "temperature", "top_p": "top_p", "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
	"parallel_tool_calls": "parallel_tool_calls", "verbosity": "text.verbosity", "service_tier": "service_tier", "user": "user",
	"safety_identifier": "safety_identifier", "prompt_cache_key": "prompt_cache_key",
	"prompt_cache_retention": "prompt_cache_retention", "moderation": "moderation",
}

// acceptResponses makes what the overrides say in accepts count for a backend that speaks
// Responses too. What a preset accepts is about its chat API and says nothing here.
func (o Overrides) acceptResponses(d *translate.Dialect) []*Error {
	var errs []*Error
	for _, f := range o.Facts() {
		param, ok := strings.CutPrefix(f.Key, "accepts.")
		if !ok {
			continue
		}
		name, known := responsesNames[param]
		switch {
		case param == "logprobs":
			d.Responses.Logprobs = f.Value == "true"
		case !known:
			errs = append(errs, complaint(place{}, "upstream.overrides."+f.Key, "it has no meaning with upstream.api: responses; remove it"))
		case f.Value == "false":
			*d, _ = d.With(translate.Fact{Key: "responses.refuses." + name, Value: "true"})
		default:
			*d, _ = d.With(translate.Fact{Key: "responses.refuses." + name, Value: "false"})
		}
	}
	return errs
}

// Len returns the number of values that are overridden.
func (o Overrides) Len() int { return len(o.settings) }

// add checks a setting and takes it in, in place of an earlier one of its path.
func (o *Overrides) add(s *setting, depth int) *Error {
	scratch := reflect.New(reflect.TypeFor[overridable]()).Elem()
	if err := assign(scratch, s, depth); err != nil {
		return err
	}
	if s.kind == kindEmpty || s.kind == kindNull && len(legalValues(typeAt(scratch.Type(), s.path[depth:]))) == 0 {
		return nil // a section without keys
	}
	// A Config may be copied; the copies must not share what add changes.
	o.settings = slices.DeleteFunc(slices.Clone(o.settings), func(t *setting) bool {
		return slices.Equal(t.path[o.depth:], s.path[depth:])
	})
	o.settings, o.depth = append(o.settings, s), depth
	return nil
}

// EffectiveDialect returns the preset that Dialect names, or that fits the host
// of URL, with Overrides applied. The value is the caller's own.
func (u *Upstream) EffectiveDialect() (translate.Dialect, error) {
	d, errs := u.effectiveDialect()
	return d, joined(errs)
}

// Detects reports whether it is left to the server to show what it is: nothing is
// configured, and the host tells nothing.
func (u *Upstream) Detects() bool {
	target, err := u.Target()
	return err == nil && u.Detect && u.Dialect == "" && translate.DialectForHost(target.Addr) == "generic"
}

// effectiveDialect returns the complaints without places, except those about
// single overrides.
func (u *Upstream) effectiveDialect() (translate.Dialect, []*Error) {
	name := u.Dialect
	if name == "" {
		target, err := u.target()
		if err != nil {
			return translate.Dialect{}, []*Error{err}
		}
		name = translate.DialectForHost(target.Addr)
	}
	preset, ok := translate.LookupDialect(name)
	if !ok {
		names := translate.DialectNames()
		return preset, []*Error{complaint(place{}, "upstream.dialect", `unknown dialect%s; it can be %s, or "" for the one that fits the host`,
			didYouMean(name, names), strings.Join(names, ", "))}
	}
	d := preset
	var errs []*Error
	for _, s := range u.Overrides.settings {
		errs = append(errs, s.override(&d, u.Overrides.depth)...)
	}
	if u.API == APIResponses {
		errs = append(errs, u.Overrides.acceptResponses(&d)...)
	}
	return d, append(errs, checkDialect(&d)...)
}

// override sets the field of a dialect that a setting is about. The depth is how
// many segments of its path lead to the dialect.
func (s *setting) override(d *translate.Dialect, depth int) (errs []*Error) {
	set := func(key, value string) {
		if _, err := d.Set(key, value); err != nil {
			errs = append(errs, complaint(place{}, "upstream.overrides."+key, "%v", errors.Unwrap(err)))
		}
	}
	key := strings.Join(s.path[depth:], ".")
	if s.kind != kindList {
		set(key, s.text)
		return errs
	}
	switch {
	case strings.TrimSuffix(key, "_add") == "responses.refuses":
		if slices.ContainsFunc(s.list, func(name string) bool { return !isWord(strings.ReplaceAll(name, ".", "_")) }) {
			errs = append(errs, complaint(place{}, "upstream.overrides."+key, "must consist of names of parameters of the Responses API, such as top_p or reasoning.summary"))
		}
	case key != callExtras:
		errs = checkExtraParams(key, s.list)
	case slices.ContainsFunc(s.list, func(name string) bool { return !isWord(name) || slices.Contains(callMembers, name) }):
		errs = append(errs, complaint(place{}, "upstream.overrides."+key, "must consist of names of members that a tool call has beside id, type, function and index"))
	}
	if len(errs) > 0 {
		return errs
	}
	list, adds := strings.CutSuffix(key, "_add")
	if !adds {
		set(list, "")
	}
	for _, name := range s.list {
		set(list+"."+name, "true")
	}
	return errs
}

// callExtras is the key of a list of names of members of a tool call, beside
// callMembers.
const callExtras = "tools.call_extras"

var callMembers = []string{"id", "type", "function", "index"}

// checkDialect finds what single overrides cannot see.
func checkDialect(d *translate.Dialect) []*Error {
	var errs []*Error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, complaint(place{}, "upstream.overrides."+key, format, args...))
	}
	if d.Tools.Choices.Has(translate.ChoiceRequired) && !isWord(d.Tools.RequiredWord) {
		wrong("tools.required_word", `must be one word, such as required, while tools.choices has "required"`)
	}
	if d.Reasoning.ReplayField != "" && !isWord(d.Reasoning.ReplayField) {
		wrong("reasoning.replay_field", "must be the name of a message key, such as reasoning_content, or empty for the one in which the server gives it")
	}
	return errs
}

// checkExtraParams checks a list of request keys to forward.
func checkExtraParams(key string, list []string) []*Error {
	var errs []*Error
	for _, name := range list {
		switch {
		case !isWord(name):
			errs = append(errs, complaint(place{}, "upstream.overrides."+key, "must consist of names of request keys, such as top_k"))
		case slices.Contains(translate.OwnParams, name):
			errs = append(errs, complaint(place{}, "upstream.overrides."+key, "%s is a key that antiphon writes itself; remove it", name))
		}
	}
	return errs
}

// unknownEfforts lists the overridden efforts that no version of the API has
// had. They may be new ones, so that they are not refused.
func (u *Upstream) unknownEfforts() []string {
	known := []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
	var unknown []string
	for _, s := range u.Overrides.settings {
		path := s.path[u.Overrides.depth:]
		if len(path) == 3 && path[1] == "efforts" && !slices.Contains(known, path[2]) {
			unknown = append(unknown, fmt.Sprintf("%q", path[2]))
		}
	}
	return unknown
}
