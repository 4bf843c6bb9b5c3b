package translate

// Ids look like those of the API: a prefix for the kind, and 50 hex digits, of
// which the first 16 are the same for a response and all of its items (docs/PROTOCOL.md
// §3.1). Whoever knows an item's id thus knows where its response is kept.

// Seed is the randomness that one response draws all its ids from. It must come
// from a cryptographic source: ids must not be guessable.
type Seed [23]byte

const (
	idHex     = 50 // hex digits of an id
	sharedHex = 16 // how many of them a response and its items share
	respLen   = len("resp_") + idHex
)

const hexDigits = "0123456789abcdef"

// Numbers of the ids of one response: the output items count from firstOutput,
// the stored input items from firstInput.
const (
	responseNumber = 0
	firstOutput    = 1
	firstInput     = 1 << 20
)

// appendID appends the id with that prefix and number. The last six digits are
// the number, disguised; the others are the seed.
func (s *Seed) appendID(dst []byte, prefix string, number int) []byte {
	dst = append(dst, prefix...)
	for _, b := range s[:22] {
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	for _, b := range [3]byte{byte(number >> 16), byte(number >> 8), byte(number)} {
		b ^= s[22]
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// ResponseID is the id of the response.
func (s *Seed) ResponseID() string {
	var buf [respLen]byte
	return string(s.appendID(buf[:0], "resp_", responseNumber))
}

// ID is an id of an object that is no part of a response, such as a conversation
// ("conv_"). A seed is good for one.
func (s *Seed) ID(prefix string) string { return string(s.appendID(nil, prefix, responseNumber)) }

// ItemID is the id of the output item with that index.
func (s *Seed) ItemID(prefix string, index int) string {
	return string(s.appendID(nil, prefix, firstOutput+index))
}

// The prefixes of item ids.
const (
	prefixMessage    = "msg_"
	prefixReasoning  = "rs_"
	prefixCall       = "fc_"
	prefixOutput     = "fco_"
	prefixCompaction = "cmp_"
	prefixOther      = "item_"
	prefixCallID     = "call_"
)

// formPrefixes are the id prefixes of the calls of each form.
var formPrefixes = [...]string{
	formFunction: prefixCall, formCustom: "ctc_", formSearch: "tsc_", formShell: "sh_", formLocalShell: "lsh_", formPatch: "apc_",
}

// formTypes are the types of those items.
var formTypes = [...]string{
	formFunction: "function_call", formCustom: "custom_tool_call", formSearch: "tool_search_call", formShell: "shell_call",
	formLocalShell: "local_shell_call", formPatch: "apply_patch_call",
}

// itemPrefix is the id prefix of an input item type (docs/PROTOCOL.md §3.1).
func itemPrefix(itemType string) string {
	switch itemType {
	case "message":
		return prefixMessage
	case "reasoning":
		return prefixReasoning
	case "function_call":
		return prefixCall
	case "function_call_output":
		return prefixOutput
	case "custom_tool_call":
		return "ctc_"
	case "custom_tool_call_output":
		return "ctco_"
	case "compaction":
		return "cmp_"
	case "tool_search_call":
		return "tsc_"
	case "tool_search_output":
		return "tso_"
	case "shell_call":
		return "sh_"
	case "shell_call_output":
		return "sho_"
	case "apply_patch_call":
		return "apc_"
	case "local_shell_call":
		return "lsh_"
	case "web_search_call":
		return "ws_"
	case "file_search_call":
		return "fs_"
	case "code_interpreter_call":
		return "ci_"
	case "image_generation_call":
		return "ig_"
	case "mcp_list_tools":
		return "mcpl_"
	case "mcp_approval_request":
		return "mcpr_"
	case "mcp_call":
		return "mcp_"
	}
	return prefixOther
}
