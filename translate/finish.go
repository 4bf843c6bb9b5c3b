package translate

// finishKind is what a finish_reason comes down to.
type finishKind uint8

const (
	finishStop finishKind = iota
	finishLength
	finishFilter
	finishFailed
)

// finishKindOf reads a finish_reason (SPEC §5.4, PEERS §4.1). Words that nobody
// knows mean that the backend stopped of its own accord: what it said counts.
func finishKindOf(word []byte) finishKind {
	switch string(word) {
	case "length", "max_tokens", "model_length", "max_output_tokens", "MAX_TOKENS":
		return finishLength
	case "content_filter", "sensitive", "SAFETY", "RECITATION", "PROHIBITED_CONTENT":
		return finishFilter
	case "error", "abort", "aborted", "cancelled", "network_error", "insufficient_system_resource":
		return finishFailed
	}
	return finishStop
}
