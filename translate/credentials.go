package translate

import (
	"bytes"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Tools carry credentials: the authorization and the headers of an MCP server, keys
// and tokens of connectors, secrets of containers. They are for whoever runs the tool,
// and for nobody else: they are in no response object, are not stored and not
// recorded. The addresses of servers are shown as the API shows them: scheme and host.
//
// What is a credential is said by the name of its member (isCredential), in objects
// that describe tools, at any depth. Schemas are left alone, because a parameter of a
// function may well be called "password", and so is what people and models have said.

// redactedPath stands for the path of a server's address, as in the live API.
const redactedPath = "/<redacted>"

// maxKeyName bounds the names of members that are looked at; of longer ones, the end.
const maxKeyName = 64

// plainKey is a member's name in lower case, without what parts its words, in buf.
func plainKey(buf *[maxKeyName]byte, key []byte) []byte {
	out := buf[:0]
	if len(key) > maxKeyName {
		key = key[len(key)-maxKeyName:]
	}
	for _, c := range key {
		switch {
		case c >= 'A' && c <= 'Z':
			out = append(out, c|0x20)
		case c != '_' && c != '-' && c != '.' && c != ' ':
			out = append(out, c)
		}
	}
	return out
}

// credentialEnds are how names of credentials end, without what parts their words.
var credentialEnds = []string{
	"authorization", "apikey", "accesskey", "secretkey", "privatekey", "authkey", "subscriptionkey", "signingkey",
	"encryptionkey", "sharedkey", "accountkey", "masterkey", "token", "secret", "secrets", "password", "passwords",
	"passwd", "passphrase", "credential", "credentials", "headers", "cookie", "cookies", "bearer", "connectionstring",
}

// isCredential reports whether a member of that name holds a credential, in an object
// that describes a tool.
func isCredential(key []byte) bool {
	var buf [maxKeyName]byte
	name := plainKey(&buf, key)
	switch string(name) {
	case "auth", "oauth", "oauth2", "authentication", "jwt", "env", "envvars", "environmentvariables", "key", "tokens",
		"authtokens", "accesstokens", "apikeys", "dsn", "pat", "header":
		return true
	}
	for _, end := range credentialEnds {
		if len(name) >= len(end) && string(name[len(name)-len(end):]) == end {
			return true
		}
	}
	return false
}

// scope says what an object is that is searched for credentials.
type scope uint8

const (
	scopeItem     scope = iota // a request, a response or an item: some of its members were said by somebody
	scopeTool                  // a tool, or something within one
	scopeFunction              // a function or a custom tool, whose parameters are a schema
)

// scopeOf is the scope of the object n, found in the scope around it.
func scopeOf(d *jsonx.Doc, n uint32, around scope) scope {
	if around == scopeItem {
		return scopeItem
	}
	if typ := d.Get(n, "type"); typ != 0 && (d.Is(typ, "function") || d.Is(typ, "custom")) {
		return scopeFunction
	}
	return scopeTool
}

// within is the scope of what a member holds.
func (s scope) within(key []byte) scope {
	switch string(key) {
	case "tools", "tool_choice", "container", "containers", "connectors", "mcp_servers", "plugins", "data_sources":
		return scopeTool
	}
	return s
}

// isOpaque reports whether a member is left as it is whatever is inside: it is a
// schema, a filter with keys of its own, or something that was said.
func (s scope) isOpaque(d *jsonx.Doc, key uint32) bool {
	switch string(keyOf(d, key)) {
	case "input_schema", "output_schema", "inputSchema", "outputSchema", "schema", "json_schema", "format", "response_format", "filters",
		"description", "name", "type":
		return true
	case "parameters":
		return s == scopeFunction || isSchema(d, key+1)
	case "arguments", "output", "content", "action", "operation", "code", "results", "queries", "summary", "error",
		"messages", "instructions", "metadata", "text", "prompt", "model":
		return s == scopeItem
	}
	return false
}

// isSchema reports whether a value looks like a JSON Schema.
func isSchema(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) != jsonx.Object {
		return false
	}
	for _, key := range [...]string{"properties", "$ref", "$schema", "anyOf", "oneOf", "allOf"} {
		if d.Get(n, key) != 0 {
			return true
		}
	}
	return d.Is(d.Get(n, "type"), "object")
}

// isAddress reports whether a member is the address of a server.
func isAddress(key []byte) bool {
	var buf [maxKeyName]byte
	name := plainKey(&buf, key)
	for _, end := range [...]string{"url", "uri", "endpoint"} {
		if bytes.HasSuffix(name, []byte(end)) {
			return true
		}
	}
	return false
}

// hasCredentials reports whether a value holds a credential of a tool, or an address
// that is not shown as it is.
func hasCredentials(d *jsonx.Doc, n uint32, around scope) bool {
	switch d.Kind(n) {
	case jsonx.Array:
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			if hasCredentials(d, v, around) {
				return true
			}
		}
	case jsonx.Object:
		s := scopeOf(d, n, around)
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			switch kind := d.Kind(k + 1); {
			case kind != jsonx.String && kind != jsonx.Array && kind != jsonx.Object, s.isOpaque(d, k):
			case isCredential(keyOf(d, k)):
				return true
			case kind == jsonx.String:
				if isAddress(keyOf(d, k)) {
					if _, changed := shownAddress(keyOf(d, k), d.Text(k+1)); changed {
						return true
					}
				}
			case hasCredentials(d, k+1, s.within(keyOf(d, k))):
				return true
			}
		}
	}
	return false
}

// shownAddress is an address as it is shown: of a tool's server, scheme and host; of
// others, all but the user and the query. changed says that it is not as it was.
func shownAddress(key []byte, address string) (shown string, changed bool) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address, false
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		end = i
	}
	host, path := rest[:end], rest[end:]
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if path != "" && path != "/" && string(key) == "server_url" {
		path = redactedPath
	}
	shown = scheme + "://" + host + path
	return shown, shown != address
}

// appendShown appends a value as it is shown and stored: without credentials, and
// without line ends.
func appendShown(dst []byte, d *jsonx.Doc, n uint32, around scope) []byte {
	if !hasCredentials(d, n, around) {
		return d.AppendMultiline(dst, n)
	}
	if d.Kind(n) == jsonx.Array {
		dst = append(dst, '[')
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = appendShown(dst, d, v, around)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	mark := len(dst)
	s := scopeOf(d, n, around)
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		if s.isShown(d, k) {
			if len(dst) > mark {
				dst = append(dst, ',')
			}
			dst = s.appendMember(dst, d, k)
		}
	}
	return append(dst, '}')
}

// isShown reports whether a member is no credential.
func (s scope) isShown(d *jsonx.Doc, key uint32) bool {
	switch d.Kind(key + 1) {
	case jsonx.String, jsonx.Array, jsonx.Object:
		return s.isOpaque(d, key) || !isCredential(keyOf(d, key))
	}
	return true
}

// appendMember appends a member that is shown.
func (s scope) appendMember(dst []byte, d *jsonx.Doc, key uint32) []byte {
	dst = append(dst, d.Raw(key)...)
	dst = append(dst, ':')
	switch {
	case s.isOpaque(d, key):
	case d.Kind(key+1) == jsonx.Array, d.Kind(key+1) == jsonx.Object:
		return appendShown(dst, d, key+1, s.within(keyOf(d, key)))
	case d.Kind(key+1) == jsonx.String && isAddress(keyOf(d, key)):
		if shown, changed := shownAddress(keyOf(d, key), d.Text(key+1)); changed {
			return jsonx.AppendString(dst, shown)
		}
	}
	return d.AppendMultiline(dst, key+1)
}

// describesTools reports whether an item is one in which tools or their servers are
// described: what such an item holds may be a credential.
func (it *item) describesTools() bool {
	return it.kind == kindTools || it.kind == kindUnsupported || it.kind == kindOutput && it.doc.Is(it.typ, "tool_search_output")
}

// WithoutCredentials is the body of a request, of either API, or of a response, as it
// may be recorded: without the credentials of its tools. It is body itself where there
// are none. What is no JSON object has no tools.
func WithoutCredentials(body []byte) (shown []byte, changed bool) {
	var d jsonx.Doc
	if d.Parse(body, storedLimits) != nil || d.Kind(jsonx.Root) != jsonx.Object || !hasCredentials(&d, jsonx.Root, scopeItem) {
		return body, false
	}
	return appendShown(nil, &d, jsonx.Root, scopeItem), true
}

// Credentials are the credentials of the tools in the body of a request, as they are
// without JSON's escapes: to find them in what others say. Short ones are left out,
// because they would be found everywhere.
func Credentials(body []byte) (list []string) {
	var d jsonx.Doc
	if d.Parse(body, storedLimits) != nil {
		return nil
	}
	return appendCredentials(nil, &d, jsonx.Root, scopeItem)
}

const minCredential = 6

func appendCredentials(list []string, d *jsonx.Doc, n uint32, around scope) []string {
	switch d.Kind(n) {
	case jsonx.Array:
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			list = appendCredentials(list, d, v, around)
		}
	case jsonx.Object:
		s := scopeOf(d, n, around)
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			switch {
			case s.isOpaque(d, k):
			case isCredential(keyOf(d, k)):
				list = appendStrings(list, d, k+1)
			case d.Kind(k+1) == jsonx.String && isAddress(keyOf(d, k)):
				if shown, changed := shownAddress(keyOf(d, k), d.Text(k+1)); changed {
					list = appendAddressParts(list, d.Text(k+1), shown)
				}
			default:
				list = appendCredentials(list, d, k+1, s.within(keyOf(d, k)))
			}
		}
	}
	return list
}

// appendStrings appends all strings in a value, but for keys and short ones.
func appendStrings(list []string, d *jsonx.Doc, n uint32) []string {
	switch d.Kind(n) {
	case jsonx.String:
		text := d.Text(n)
		if len(text) < minCredential {
			return list
		}
		list = append(list, text)
		for _, scheme := range [...]string{"Bearer ", "Basic "} {
			if rest, ok := strings.CutPrefix(text, scheme); ok && len(rest) >= minCredential {
				list = append(list, rest)
			}
		}
	case jsonx.Array:
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			list = appendStrings(list, d, v)
		}
	case jsonx.Object:
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			list = appendStrings(list, d, k+1)
		}
	}
	return list
}

// appendAddressParts appends what of an address is not shown: the whole, and its user,
// path and query.
func appendAddressParts(list []string, address, shown string) []string {
	list = append(list, address)
	_, rest, _ := strings.Cut(address, "://")
	for part := range strings.FieldsFuncSeq(rest, func(r rune) bool { return strings.ContainsRune("/?#&=@:", r) }) {
		if len(part) >= 2*minCredential && !strings.Contains(shown, part) {
			list = append(list, part)
		}
	}
	return list
}
