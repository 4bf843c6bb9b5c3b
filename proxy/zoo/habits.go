package zoo

// Family is a family of chat servers.
type Family struct {
	// Name is that of the preset which is made for the family, unless there is Preset.
	Name string
	// Preset is the preset of the server, of a member that is a model behind it.
	Preset string
	// NoTools says why the model has no tools, where it has none.
	NoTools string
	// Rules are what it refuses, in the order in which it looks.
	Rules []Rule
	// Errors is how it writes an error.
	Errors ErrorForm
	// Habits are how it answers.
	Habits Habits
	// Overflow is what it answers when the context is full; the zero value is the
	// reference's words.
	Overflow Error
	// Fault is the event with which a stream breaks off: JSON; "" is the error of
	// the reference.
	Fault string
	// Signs are how it can be told from others.
	Signs Signs
	// Evidence is where the habits are documented or reported.
	Evidence string
}

// Dialect is the name of the preset for the family.
func (f *Family) Dialect() string {
	if f.Preset != "" {
		return f.Preset
	}
	return f.Name
}

// Habits are how a family writes what its model says. The zero value is how the
// reference does it, but for usage, which it gives nowhere.
type Habits struct {
	// Role is where chunks say "role": in the first one, in each or in none.
	Role RoleIn
	// First is an odd chunk before all others.
	First FirstChunk
	// Comments are comment lines before the first chunk.
	Comments []string
	// CRLF ends the lines of the stream.
	CRLF bool
	// NoDone leaves [DONE] out.
	NoDone bool
	// Timings puts a member of the server's own on the last chunk.
	Timings bool

	// Thinks is how what the model thinks comes out; "" is a model that does not.
	Thinks Thinks
	// Off are keys of the request that keep it from thinking: path and value.
	Off [][2]string
	// ThinksStreamed says that it only thinks in streams.
	ThinksStreamed bool

	// IDs is the form of call ids.
	IDs CallIDs
	// Index is what "index" of a call in a chunk says.
	Index Index
	// WholeCalls gives each call in one chunk, with all its arguments.
	WholeCalls bool
	// ObjectArguments gives arguments as an object, where they should be a string.
	ObjectArguments bool
	// Signatures gives the first call of a turn a thought signature.
	Signatures bool
	// ContentWithCalls is the content of a whole message that only has calls.
	ContentWithCalls string // JSON; "" is null

	// ToolFinish is the finish reason of a turn with calls; "" is tool_calls.
	ToolFinish string
	// LengthFinish is that of a turn that max_tokens has cut off; "" is length.
	LengthFinish string

	// Usage is where a stream says how many tokens there were.
	Usage Usage
	// CachedPath is where usage says how many of them were cached: a key with a
	// dot in it for a member of an object; "" is nowhere.
	CachedPath string

	// NoLogprobs says that there are none, though they may be asked for.
	NoLogprobs bool
	// IgnoresNamed says that a tool_choice that names a function counts as auto.
	IgnoresNamed bool
	// IgnoresSchema says that response_format json_schema makes no difference.
	IgnoresSchema bool
	// IgnoresChoice says that tool_choice makes no difference.
	IgnoresChoice bool
	// IgnoresFormat says that response_format makes no difference.
	IgnoresFormat bool
	// IgnoresMaxCompletionTokens says that only max_tokens counts.
	IgnoresMaxCompletionTokens bool
	// HidesLaterSystem says that the model only sees the first system message.
	HidesLaterSystem bool
}

// RoleIn is where chunks have a role.
type RoleIn string

// The values of RoleIn.
const (
	RoleFirst RoleIn = ""
	RoleEvery RoleIn = "every"
)

// FirstChunk is an odd chunk before all others.
type FirstChunk string

// The values of FirstChunk.
const (
	FirstPlain      FirstChunk = ""
	FirstNull       FirstChunk = "null"   // a role, and content null
	FirstEmpty      FirstChunk = "empty"  // a role, and content ""
	FirstNoChoices  FirstChunk = "filter" // no choices, no id: what Azure has filtered
	FirstXGroq      FirstChunk = "x_groq"
	FirstReasoning0 FirstChunk = "reasoning" // a role, with both texts ""
)

// Thinks is how a model's thoughts come out.
type Thinks string

// The values of Thinks.
const (
	ThinksNot       Thinks = ""
	ThinksContent   Thinks = "reasoning_content"
	ThinksReasoning Thinks = "reasoning"
	ThinksTags      Thinks = "<think>"
	ThinksDetails   Thinks = "reasoning_details" // beside "reasoning"
	ThinksParts     Thinks = "parts"             // content becomes an array
)

// CallIDs is a form of call ids.
type CallIDs string

// The values of CallIDs.
const (
	IDsCall     CallIDs = ""         // call_…, in the first chunk
	IDsBare     CallIDs = "bare"     // 32 letters and digits
	IDsAlnum9   CallIDs = "alnum9"   // nine
	IDsEmpty    CallIDs = "then ''"  // in the first chunk, and "" in later ones
	IDsRepeated CallIDs = "repeated" // in each chunk
	IDsFunction CallIDs = "function" // functions.NAME:N
)

// Index is what chunks say of a call's index.
type Index string

// The values of Index.
const (
	IndexRight   Index = ""
	IndexZero    Index = "0"
	IndexMissing Index = "missing"
)

// Usage is where a stream has its usage.
type Usage string

// The values of Usage.
const (
	UsageNever  Usage = ""
	UsageAsked  Usage = "asked"   // in a chunk of its own, if include_usage asks for it
	UsageAlways Usage = "always"  // in a chunk of its own
	UsageFinish Usage = "finish"  // in the chunk with the finish reason
	UsageChoice Usage = "choice"  // the same, inside the choice
	UsageXGroq  Usage = "x_groq"  // the same, inside x_groq
	UsageEvery  Usage = "content" // in every chunk
)

// Signs are how a family can be told from others without asking its model.
type Signs struct {
	// Header is a header of every answer: name and value.
	Header [2]string
	// Paths answer GET, with a body.
	Paths map[string]string
	// Owner is owned_by in the list of models.
	Owner string
	// Model is a name that one of its models has.
	Model string
}
