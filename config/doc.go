// Package config is what a user can set: one Config, its defaults, how it is
// read, and what is refused.
//
// Where is …?
//
//	every key, what it means, its default    config.go
//	flags over file over defaults            load.go, flags.go
//	the YAML file, line numbers, ${ENV}      yaml.go
//	how one value finds its field            assign.go (unknown keys: suggest.go)
//	ranges, rules across keys, warnings      validate.go, warnings.go
//	what may not be printed                  secret.go, secrets.go, redact.go
//	"30s" and "64MiB"                        units.go
//	the upstream's URL taken apart           target.go
//	presets and overrides of the dialect     dialect.go
//	the authorities of the upstream          tls.go
//	the file of inbound API keys             keys.go
//	the store's URL taken apart              store.go
//	how a complaint reads                    errors.go
//
// A file and the flags are first turned into a flat list of settings: a path,
// a text and where it was written. Each setting is then assigned to the field
// that the yaml tags lead to. So there is one decoder for the file, for flags
// and for the overrides of a dialect, and every complaint can name a place.
//
// Three rules hold for every value:
//
//   - ${NAME} is replaced by the environment variable NAME, which must be set;
//     $${ is a literal ${. Keys are never expanded, and nothing else is taken
//     from the environment.
//   - A complaint quotes what was written, never what the environment put in,
//     and nothing at all of a Secret.
//   - A key without a value is refused (write "" for an empty text); a section
//     without keys means its defaults.
//
// YAML anchors, aliases, merge keys, tags and second documents are refused: a
// configuration of this size does not need them, and an unquoted secret that
// begins with & or * must not silently turn into one.
package config
