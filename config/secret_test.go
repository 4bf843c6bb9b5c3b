package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretInEveryVerb(t *testing.T) {
	s := NewSecret(canary)
	type outer struct {
		Public  Secret
		private Secret
		Pointer *Secret
		List    []Secret
		Map     map[string]Secret
	}
	o := outer{s, s, &s, []Secret{s}, map[string]Secret{"k": s}}
	for verb := range strings.SplitSeq("v +v #v s q x X d t c U e b o p T +q #x 20s -20v 08d w", " ") {
		for _, value := range []any{s, &s, o, &o, []any{s, o}, map[Secret]int{s: 1}} {
			got := fmt.Sprintf("%"+verb, value)
			if strings.Contains(got, canary) || strings.Contains(got, fmt.Sprintf("%x", canary)) {
				t.Errorf("%%%s of %T: %s", verb, value, got)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "<secret>" {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if s.String() != "<secret>" || s.GoString() != "<secret>" {
		t.Error("String or GoString")
	}
	if err := fmt.Errorf("%w", fmt.Errorf("x %v", s)); strings.Contains(err.Error(), canary) {
		t.Error(err)
	}
}

func TestSecretInEveryEncoder(t *testing.T) {
	s := NewSecret(canary)
	type named struct{ A Secret }
	value := map[string]any{"a": s, "b": &s, "c": []Secret{s}}
	f := func(name string, encoded []byte, err error) {
		t.Helper()
		if err != nil || bytes.Contains(encoded, []byte(canary)) || !bytes.Contains(encoded, []byte("secret")) {
			t.Errorf("%s: %s (%v)", name, encoded, err)
		}
	}
	b, err := json.Marshal(value)
	f("json", b, err)
	b, err = yaml.Marshal(value)
	f("yaml", b, err)
	b, err = xml.Marshal(named{s})
	f("xml", b, err)
	b, err = s.MarshalText()
	f("text", b, err)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", s, "all", value)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", s, "all", value)
	f("slog", out.Bytes(), nil)

	var back string
	b, _ = json.Marshal(s)
	if err := json.Unmarshal(b, &back); err != nil || back != "<secret>" {
		t.Errorf("JSON is %s", b)
	}
}

func TestSecretEmpty(t *testing.T) {
	if s := NewSecret(""); !s.IsZero() || s.Reveal() != "" || fmt.Sprint(s) != "" || s != (Secret{}) {
		t.Error("an empty secret hides something")
	}
	if s := NewSecret("x"); s.IsZero() || s.Reveal() != "x" {
		t.Error("a secret is lost")
	}
}
