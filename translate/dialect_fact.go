package translate

// Fact is the value of one field of a dialect, as it was found out about a server:
// the key is the configuration's, with dots ("accepts.verbosity", "tools.call_ids",
// "extra_params.top_k", "reasoning.efforts.minimal"), and so is the value (see
// Dialect.Set).
type Fact struct {
	Key   string `json:"key"`   // of the field
	Value string `json:"value"` // as text: "true", "false", a word or a number
}

// String is the fact as recordings have it: key=value.
func (f Fact) String() string { return f.Key + "=" + f.Value }

// With returns the dialect with a fact in it. ok is false, and the dialect the same,
// if there is no such field or the fact says nothing new.
func (d *Dialect) With(f Fact) (changed Dialect, ok bool) {
	changed = *d
	ok, err := changed.Set(f.Key, f.Value)
	return changed, ok && err == nil
}
