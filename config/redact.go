package config

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// digestSize is how many bytes of a hash identify a configuration.
const digestSize = 6

// Redacted returns the effective configuration in the form of a file, with all
// defaults and without secrets: these are "<secret>", which Load refuses, so
// that nobody runs with it.
func (c *Config) Redacted() string {
	var b strings.Builder
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(c); err != nil {
		return "# this configuration cannot be printed\n" // made by a program, from texts that Load refuses
	}
	return b.String()
}

// Digest returns a short hash of the effective configuration without secrets:
// two processes with the same digest behave alike.
func (c *Config) Digest() string {
	sum := sha256.Sum256([]byte(c.Redacted()))
	return hex.EncodeToString(sum[:digestSize])
}

// String implements fmt.Stringer, so that %v does not show the URL's query.
func (c Config) String() string { return c.Redacted() }

// GoString implements fmt.GoStringer, for the same reason.
func (c Config) GoString() string { return c.Redacted() }

// MarshalYAML implements yaml.Marshaler with the view of Redacted.
func (c Config) MarshalYAML() (any, error) {
	type plain Config // without this method
	p := plain(c)
	p.Upstream.URL = redactURL(p.Upstream.URL)
	p.Store.Kind = p.Store.Redacted()
	p.Upstreams = maps.Clone(p.Upstreams)
	for name, u := range p.Upstreams {
		u.URL = redactURL(u.URL)
		p.Upstreams[name] = u
	}
	var n yaml.Node
	if err := n.Encode(p); err != nil {
		return nil, err
	}
	escapeValues(&n)
	return &n, nil
}

// escapeValues writes literal ${ so that Load reads it back.
func escapeValues(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = escapeReferences(n.Value)
		return
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			escapeValues(child)
		}
	}
}

// redactURL hides what a URL's query says, apart from Azure's API version:
// some servers take their key there.
func redactURL(raw string) string {
	base, query, ok := strings.Cut(raw, "?")
	if !ok {
		return raw
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, named := strings.Cut(part, "=")
		switch {
		case part == "" || named && strings.EqualFold(name, "api-version"):
		case named:
			parts[i] = name + "=" + hidden
		default:
			parts[i] = hidden
		}
	}
	return base + "?" + strings.Join(parts, "&")
}

// MarshalYAML implements yaml.Marshaler: the overrides as in a file, sorted.
func (o Overrides) MarshalYAML() (any, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sorted := slices.SortedFunc(slices.Values(o.settings), func(a, b *setting) int {
		return slices.Compare(a.path[o.depth:], b.path[o.depth:])
	})
	for _, s := range sorted {
		n := root
		path := s.path[o.depth:]
		for _, key := range path[:len(path)-1] {
			n = childMapping(n, key)
		}
		n.Content = append(n.Content, textNode(path[len(path)-1]), s.node())
	}
	return root, nil
}

// childMapping returns the mapping below a key, made if need be.
func childMapping(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	child := &yaml.Node{Kind: yaml.MappingNode}
	n.Content = append(n.Content, textNode(key), child)
	return child
}

// node returns the value of a setting in YAML.
func (s *setting) node() *yaml.Node {
	if s.kind == kindList {
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range s.list {
			n.Content = append(n.Content, textNode(item))
		}
		return n
	}
	_, err := strconv.Atoi(s.text)
	if err == nil || s.text == "true" || s.text == "false" {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: s.text} // no quotes
	}
	return textNode(s.text)
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}
