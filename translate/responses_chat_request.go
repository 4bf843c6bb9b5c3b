package translate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// ChatOptions are what AppendChat needs besides the request.
type ChatOptions struct {
	// Dialect of the backend.
	Dialect *Dialect
	// Model is the backend's name for the model; "" keeps the client's.
	Model string
	// History is what previous_response_id stands for; nil for nothing.
	History *History
	// Losses receives what the translation loses.
	Losses *Losses
	// Summarize asks for a summary of all that the request would be about, for a
	// compaction item, instead of an answer.
	Summarize bool
	// Misplaced says that the request has come by the path of Chat Completions: the
	// client may mean parameters of both APIs.
	Misplaced bool
	// Unsent says that no model is going to be asked: there may be nothing to ask
	// it yet.
	Unsent bool
	// Sealer opens the encrypted_content of reasoning items; nil: none opens.
	Sealer Sealer
	// Upstream is TurnOptions.Upstream of the replies that are made for this backend.
	Upstream string
	// Fetched has what Remote lists, by URL or FileIDKey; what is not in it is
	// dropped and reported.
	Fetched map[string]FetchedFile
}

// Resolve puts stored items in the place of the input's item references:
// items[i] is the JSON of the item that References()[i] names. It must be called
// before AppendChat and StorableInput when there are references.
func (r *Request) Resolve(items [][]byte) *Error { return resolve(r.items, &r.refDoc, items) }

// resolve parses stored items into d and puts them in the place of references.
func resolve(items []item, d *jsonx.Doc, stored [][]byte) *Error {
	all := []byte{'['}
	for i, it := range stored {
		if i > 0 {
			all = append(all, ',')
		}
		all = append(all, it...)
	}
	all = append(all, ']')
	if err := d.Parse(all, jsonx.Limits{Depth: 1 << 10, Values: 1 << 30}); err != nil {
		return &Error{Status: 500, Type: TypeServer, Message: "A stored item could not be read.", Origin: OriginProxy}
	}
	v := d.First(jsonx.Root)
	for i := range items {
		if items[i].kind != kindReference {
			continue
		}
		it, err := readItem(d, v, i)
		if err != nil {
			return err
		}
		items[i] = it
		v = d.Next(v)
	}
	return nil
}

// AppendChat appends the body of the POST /chat/completions that stands for this
// request. What has no counterpart is noted in opt.Losses; the result is whole
// and legal whatever was lost.
func (r *Request) AppendChat(dst []byte, opt ChatOptions) ([]byte, *Error) {
	d, dialect := &r.doc, opt.Dialect
	h := opt.History
	if h == nil {
		h = &noHistory
	}
	if i := slices.IndexFunc(r.items, func(it item) bool { return it.kind == kindCompaction }); i >= 0 {
		return dst, errCompaction(i)
	}
	if err := r.prepareTools(h, dialect); err != nil {
		return dst, err
	}
	dst = append(dst, `{"model":`...)
	switch {
	case opt.Model != "":
		dst = jsonx.AppendString(dst, opt.Model)
	case r.has(pModel):
		dst = append(dst, d.Raw(r.params[pModel])...)
	default:
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"messages":[`...)
	start := len(dst) - 1

	m := &r.messages
	m.reset(dialect, opt.Losses, dst)
	m.tools, m.running = &r.tools, slices.Clip(h.running)
	m.sealer, m.fetched, m.upstream = opt.Sealer, opt.Fetched, opt.Upstream
	if r.forgetsTurns(dialect) {
		m.replay = ReplayLoop
	}
	if opt.History != nil && (r.has(pPreviousResponseID) || r.ConversationID() != "") {
		if err := unanswered(r.items, h); err != nil {
			m.dst = nil
			return dst, err
		}
	}
	m.past = h
	m.dropRepeated(r.items, nil, h)
	compaction := supersede(r.items)
	if compaction >= 0 {
		h = h.standing(dialect)
		m.lose(ruleCompaction, itemPath(compaction), "")
	}
	r.config, r.instruction = configuration{}, r.instruction[:0]
	if !opt.Summarize {
		r.config = r.configured(h)
		r.instruction = r.tools.appendInstruction(r.appendInstruction(r.instruction, dialect), dialect)
	}
	r.head(m, h)
	m.start(h, slices.ContainsFunc(r.items, func(it item) bool { return it.kind == kindUser }))
	m.segment(r.items, &r.outs, h.open, false)
	r.reportHistory(h, opt.Losses)
	if opt.Summarize || compaction >= 0 && silent(r.items) {
		m.say(opt.Summarize)
	}
	dst = append(m.dst, ']')
	m.dst = nil
	if dialect.Tools.SingleCalls {
		dst = splitCalls(dst, start, dialect, opt.Losses)
	}
	if m.count == 0 && !opt.Unsent {
		return dst, invalid("invalid_value", "input", "Nothing in 'input' can be sent to a Chat Completions backend.")
	}
	if opt.Summarize {
		if r.Stream {
			dst = append(dst, `,"stream":true`...)
		}
		return append(dst, '}'), nil
	}

	dst = r.appendTools(dst, dialect, opt.Losses)
	dst, err := r.appendParams(dst, dialect, opt.Losses)
	if err != nil {
		return dst, err
	}
	if r.Stream {
		dst = append(dst, `,"stream":true`...)
		if dialect.Accepts.Has(ParamStreamUsage) {
			dst = append(dst, `,"stream_options":{"include_usage":true}`...)
		}
	}
	if dst, err = r.appendUnknown(dst, dialect, opt.Losses, opt.Misplaced); err != nil {
		return dst, err
	}
	if r.doc.Mended > 0 {
		opt.Losses.add(ruleSurrogates, "", "")
	}
	return append(dst, '}'), nil
}

var noHistory History

func (m *messages) reset(dialect *Dialect, losses *Losses, dst []byte) {
	clear(m.turn)
	clear(m.pictures)
	*m = messages{
		dialect: dialect, losses: losses, dst: dst, replay: dialect.Reasoning.replay(),
		turn: m.turn[:0], pictures: m.pictures[:0], thoughts: m.thoughts[:0],
		scratch: m.scratch[:0], args: m.args, taken: m.taken[:0], takenDoc: m.takenDoc,
		memory: m.memory, opened: m.opened[:0], openedDoc: m.openedDoc,
		used: m.used[:0], usedSet: m.usedSet,
	}
	if clear(m.usedSet); cap(m.used) > maxUsed {
		m.used, m.usedSet = nil, nil
	}
}

// appendParams appends the parameters that have a chat counterpart.
func (r *Request) appendParams(dst []byte, dialect *Dialect, losses *Losses) ([]byte, *Error) {
	d := &r.doc
	raw := func(key string, n uint32) {
		dst = append(dst, ',', '"')
		dst = append(dst, key...)
		dst = append(dst, '"', ':')
		dst = append(dst, d.Raw(n)...)
	}
	// Parameters that go up under their own name where the dialect takes them.
	for _, p := range sameNameParams {
		n := r.params[p.param]
		if n == 0 {
			continue
		}
		if dialect.Accepts.Has(p.bit) {
			raw(paramNames[p.param], n)
			continue
		}
		if !p.neutral(d, n) {
			losses.add(p.rule, paramNames[p.param], "")
		}
	}
	if n := r.params[pMaxOutputTokens]; n != 0 {
		raw(string(dialect.MaxTokens), n)
	}
	dst = r.appendLogprobs(dst, dialect, losses)
	dst = r.appendText(dst, dialect, losses)
	dst = r.appendReasoning(dst, dialect, losses)

	if n := r.params[pServiceTier]; n != 0 && !d.Is(n, "auto") && !d.Is(n, "default") {
		if dialect.Accepts.Has(ParamServiceTier) && !d.Is(n, "ultrafast") {
			raw("service_tier", n)
		} else {
			losses.add(ruleHint, "service_tier", d.Text(n))
		}
	}
	if n := r.params[pModeration]; n != 0 {
		switch {
		case dialect.Accepts.Has(ParamModeration):
			raw("moderation", n)
		case blocks(d, n):
			return dst, errUnsupported("moderation", "asks to block content, which this backend cannot do.")
		default:
			losses.add(ruleHint, "moderation", "")
		}
	}
	if n := r.params[pAccessPrograms]; n != 0 {
		if v := d.Get(n, "cyber"); d.Present(v) && !d.Is(v, "standard") {
			return dst, &Error{Status: 403, Type: TypePermission, Param: "access_programs",
				Message: "This server has no access programs; leave 'access_programs' out."}
		}
	}
	if r.has(pContextManagement) && r.CompactThreshold() == 0 {
		losses.add(ruleContextManagement, "context_management", "")
	}
	if r.has(pPromptCacheOptions) {
		losses.add(ruleHint, "prompt_cache_options", "")
	}
	if r.has(pImage) {
		losses.add(ruleHint, "image", "")
	}
	return dst, nil
}

// blocks reports whether a moderation object asks to block anything.
func blocks(d *jsonx.Doc, n uint32) bool {
	policy := d.Get(n, "policy")
	return d.Is(d.Get(d.Get(policy, "input"), "mode"), "block") ||
		d.Is(d.Get(d.Get(policy, "output"), "mode"), "block")
}

// sameNameParams have the same name and meaning in both APIs.
var sameNameParams = []struct {
	param   param
	bit     ParamSet
	rule    Rule
	neutral func(d *jsonx.Doc, n uint32) bool // values that change nothing
}{
	{pTemperature, ParamTemperature, ruleSampling, func(d *jsonx.Doc, n uint32) bool { return d.Float(n) == 1 }},
	{pTopP, ParamTopP, ruleSampling, func(d *jsonx.Doc, n uint32) bool { return d.Float(n) == 1 }},
	{pPresencePenalty, ParamPresencePenalty, ruleSampling, func(d *jsonx.Doc, n uint32) bool { return d.Float(n) == 0 }},
	{pFrequencyPenalty, ParamFrequencyPenalty, ruleSampling, func(d *jsonx.Doc, n uint32) bool { return d.Float(n) == 0 }},
	{pUser, ParamUser, ruleHint, never},
	{pSafetyIdentifier, ParamSafetyIdentifier, ruleHint, never},
	{pPromptCacheKey, ParamPromptCacheKey, ruleHint, never},
	{pPromptCacheRetention, ParamPromptCacheRetention, ruleHint, never},
}

func never(*jsonx.Doc, uint32) bool { return false }

// appendLogprobs asks for logprobs when include does. top_logprobs alone has no
// visible effect in the Responses API (docs/PROTOCOL.md §2.2).
func (r *Request) appendLogprobs(dst []byte, dialect *Dialect, losses *Losses) []byte {
	if !r.IncludeLogprobs {
		return dst
	}
	if !dialect.Accepts.Has(ParamLogprobs) || r.Stream && r.tools.sent && dialect.Tools.ExcludesLogprobs {
		losses.add(ruleLogprobs, "include", "message.output_text.logprobs")
		return dst
	}
	dst = append(dst, `,"logprobs":true`...)
	if n := r.params[pTopLogprobs]; n != 0 {
		dst = append(dst, `,"top_logprobs":`...)
		dst = append(dst, r.doc.Raw(n)...)
	}
	return dst
}

// formatMembers are the members of text.format that a chat backend gets.
var formatMembers = []string{"type", "name", "description", "schema", "strict"}

// appendText appends text.format as response_format, and text.verbosity.
func (r *Request) appendText(dst []byte, dialect *Dialect, losses *Losses) []byte {
	d, n := &r.doc, r.params[pText]
	if n == 0 && r.config.format == nil {
		return dst
	}
	if n != 0 {
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			if !d.Is(k, "format") && !d.Is(k, "verbosity") {
				losses.add(ruleUnknownParam, "text."+brief(d.Text(k)), "")
			}
		}
	}
	if v := d.Get(n, "verbosity"); d.Present(v) {
		switch {
		case dialect.Accepts.Has(ParamVerbosity):
			dst = append(dst, `,"verbosity":`...)
			dst = append(dst, d.Raw(v)...)
		case !d.Is(v, "medium"):
			losses.add(ruleVerbosity, "text.verbosity", d.Text(v))
		}
	}
	d, f := r.format()
	if kind := d.Get(f, "type"); d.Present(f) {
		members := formatMembers[:1] // of json_object and text only the type
		if d.Is(kind, "json_schema") {
			members = formatMembers
		}
		for k, end := d.First(f), d.End(f); k < end; k = d.Next(k + 1) {
			if d.Present(k+1) && !slices.ContainsFunc(members, func(m string) bool { return d.Is(k, m) }) {
				losses.add(ruleUnknownParam, "text.format."+brief(d.Text(k)), "")
			}
		}
	}
	return r.appendFormat(dst, dialect, losses)
}

// appendReasoning appends the effort in the dialect's form.
func (r *Request) appendReasoning(dst []byte, dialect *Dialect, losses *Losses) []byte {
	d, n := &r.doc, r.params[pReasoning]
	if r.config.effort != "" {
		dst = r.appendEffort(dst, r.config.effort, dialect, losses)
	}
	if n == 0 {
		return dst
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v := k + 1
		if !d.Present(v) {
			continue
		}
		switch {
		case d.Is(k, "effort"):
			if r.config.effort != "" { // set anew since
				continue
			}
			dst = r.appendEffort(dst, d.Text(v), dialect, losses)
		case d.Is(k, "summary"), d.Is(k, "generate_summary"):
			losses.add(ruleSummary, "reasoning.summary", "")
		case d.Is(k, "context"):
			policy := dialect.Reasoning.Replay
			switch {
			case d.Is(v, "auto"):
			case d.Is(v, "all_turns") && policy == ReplayAll:
			case d.Is(v, "current_turn") && (policy == ReplayLoop || r.forgetsTurns(dialect)):
			default:
				losses.add(ruleReasoningContext, "reasoning.context", d.Text(v))
			}
		case d.Is(k, "mode"):
			if !d.Is(v, "standard") {
				losses.add(ruleReasoningMode, "reasoning.mode", d.Text(v))
			}
		default:
			losses.add(ruleUnknownParam, "reasoning."+brief(d.Text(k)), "")
		}
	}
	return dst
}

// forgetsTurns reports whether the request asks that the backend only sees the
// reasoning of the turn that is going on, and the dialect can do without the rest.
func (r *Request) forgetsTurns(dialect *Dialect) bool {
	h := &dialect.Reasoning
	return h.Replay == ReplayAll && h.Placeholder == "" &&
		r.has(pReasoning) && r.doc.Is(r.doc.Get(r.params[pReasoning], "context"), "current_turn")
}

// The words of an effort form that is a switch.
const (
	effortOn  = "enabled"
	effortOff = "disabled"
)

// isSwitch reports whether the form knows two efforts only.
func (f EffortForm) isSwitch() bool {
	switch f {
	case EffortEnabled, EffortThinking, EffortEnable, EffortTemplate:
		return true
	}
	return false
}

// key is the request key that the form writes.
func (f EffortForm) key() string {
	switch f {
	case EffortObject, EffortEnabled:
		return "reasoning"
	case EffortThinking, EffortThinkingField:
		return "thinking"
	case EffortEnable:
		return "enable_thinking"
	case EffortTemplate:
		return "chat_template_kwargs"
	}
	return "reasoning_effort"
}

func (r *Request) appendEffort(dst []byte, effort string, dialect *Dialect, losses *Losses) []byte {
	form := dialect.Reasoning.EffortForm
	word, mapped := dialect.Reasoning.Efforts[effort]
	switch {
	case dialect.Reasoning.StreamOnly && !r.Stream, dialect.Reasoning.ExcludesFormat && r.wantsJSON():
		word = effortOff
	case mapped:
	case form.isSwitch() && effort == "none":
		word = effortOff
	case form.isSwitch():
		word = effortOn
	default:
		word = effort
	}
	if form == EffortUnknown || word == "" {
		losses.add(ruleEffortDropped, "reasoning.effort", effort)
		return dst
	}
	if slices.Contains(dialect.ExtraParams, form.key()) && r.unknownKey(form.key()) != 0 {
		// The client speaks the backend's own language, and knows better.
		losses.add(ruleEffortDropped, "reasoning.effort", form.key()+" is given")
		return dst
	}
	if word != effort && (effort != "none" || word != effortOff) {
		losses.add(ruleEffortMapped, "reasoning.effort", effort+" → "+word)
	}
	on := word != effortOff
	switch form {
	case EffortObject:
		dst = append(dst, `,"reasoning":{"effort":`...)
		dst = jsonx.AppendString(dst, word)
		return append(dst, '}')
	case EffortEnabled:
		dst = append(dst, `,"reasoning":{"enabled":`...)
		return append(strconv.AppendBool(dst, on), '}')
	case EffortEnable:
		dst = append(dst, `,"enable_thinking":`...)
		return strconv.AppendBool(dst, on)
	case EffortTemplate:
		dst = append(dst, `,"chat_template_kwargs":{"enable_thinking":`...)
		return append(strconv.AppendBool(dst, on), '}')
	case EffortThinking, EffortThinkingField:
		dst = append(dst, `,"thinking":{"type":"`...)
		if on {
			dst = append(dst, effortOn...)
		} else {
			dst = append(dst, effortOff...)
		}
		dst = append(dst, `"}`...)
		if !on || form == EffortThinking {
			return dst
		}
	}
	dst = append(dst, `,"reasoning_effort":`...)
	return jsonx.AppendString(dst, word)
}

// wantsJSON reports whether the answer is to have a format.
func (r *Request) wantsJSON() bool {
	d, f := r.format()
	kind := d.Get(f, "type")
	return d.Is(kind, "json_object") || d.Is(kind, "json_schema")
}

// appendUnknown forwards the keys that the dialect lists, and refuses those that have
// moved. With others it does what the dialect says, and reports it.
func (r *Request) appendUnknown(dst []byte, dialect *Dialect, losses *Losses, misplaced bool) ([]byte, *Error) {
	d := &r.doc
	for _, k := range r.unknown {
		name := d.Text(k)
		switch {
		case slices.Contains(dialect.ExtraParams, name):
			dst = appendMember(dst, d, k)
			continue
		case misplaced, dialect.UnknownParams == UnknownForward && !slices.Contains(OwnParams, name):
		default:
			if err := movedError(d, []uint32{k}, movedToResponses, "the Responses API"); err != nil {
				return dst, err
			}
		}
		switch {
		case d.Kind(k+1) == jsonx.Null:
		case name == "client_metadata" || strings.HasPrefix(name, "internal_"):
			losses.add(ruleClientMetadata, brief(name), "")
		case dialect.UnknownParams == UnknownRefuse:
			return dst, errUnknown(brief(name))
		case dialect.UnknownParams == UnknownForward && !slices.Contains(OwnParams, name) && name != dialect.Reasoning.EffortForm.key():
			dst = appendMember(dst, d, k)
			losses.add(ruleUnknownForwarded, brief(name), "")
		default:
			losses.add(ruleUnknownParam, brief(name), "")
		}
	}
	return dst, nil
}

// appendMember appends a member of an object as it stands, given its key's node.
func appendMember(dst []byte, d *jsonx.Doc, k uint32) []byte {
	dst = append(dst, ',')
	dst = append(dst, d.Raw(k)...)
	dst = append(dst, ':')
	return append(dst, d.Raw(k+1)...)
}
