package redact_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/redact"
)

func TestSecretsAreFoundInEveryForm(t *testing.T) {
	r := redact.New("key-1234", `p/w"<&`, "key-1234-longer", "abc", "")
	for text, want := range map[string]string{
		"Incorrect key key-1234.":         "Incorrect key <secret>.",
		"key-1234-longer, key-1234":       "<secret>, <secret>",
		`{"m":"p\/w\"<&"}`:                `{"m":"<secret>"}`,
		`{"m":"p/w\"\u003c\u0026"}`:       `{"m":"<secret>"}`,
		`abc is too short to be a secret`: `abc is too short to be a secret`,
	} {
		if got := r.Text(text); got != want {
			t.Errorf("%s became %s", text, got)
		}
		if got := string(r.JSON([]byte(text))); got != want {
			t.Errorf("JSON: %s became %s", text, got)
		}
		masked := []byte(text)
		if found := r.Mask(masked); found != (text != want) || len(masked) != len(text) {
			t.Errorf("%s was masked as %s", text, masked)
		}
		if strings.Contains(string(masked), "1234") || strings.Contains(string(masked), "w\\") {
			t.Errorf("%s was masked as %s", text, masked)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(got, "key-") {
		t.Error(got)
	}
	more := r.With("another-secret")
	if r.Text("another-secret") != "another-secret" || more.Text("another-secret key-1234") != "<secret> <secret>" {
		t.Error("With does not add, or changes what it was called on")
	}
	if r.With("key-1234") != r {
		t.Error("what is known already makes another Redactor")
	}
	var none *redact.Redactor
	if none.Text("x") != "x" || none.Mask([]byte("x")) || string(none.JSON([]byte("x"))) != "x" {
		t.Error("nil knows secrets")
	}
}

func TestWhatLooksLikeACredentialIsHidden(t *testing.T) {
	for text, want := range map[string]string{
		"Incorrect API key provided: sk-proj-abcdefgh1234.": "Incorrect API key provided: <secret>",
		"header Authorization: Bearer abcdef0123 is bad":    "header Authorization: Bearer <secret> is bad",
		"bearer of bad news":                                "bearer of bad news",
		"dial https://me:pw@host/x failed":                  "dial https://<secret>@host/x failed",
		"https://host/x@y":                                  "https://host/x@y",
		"sk-8 stays, and so does ask-question":              "sk-8 stays, and so does ask-question",
		"basic auth is off":                                 "basic auth is off",
		"two: hf_abcdefghijkl and gsk_abcdefghijkl":         "two: <secret> and <secret>",
		"": "",
	} {
		if got := redact.Tokens(text); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}
