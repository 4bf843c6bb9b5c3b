// Package goldencase reads and writes golden cases: whole exchanges, one file a
// behaviour, in txtar format. The golden tests of package translate, antiphon
// record and antiphon replay have it in common, so that what one writes the others
// read, and nothing in a file is passed over: an option that is not in the table
// of options.go is an error.
//
// A case has the client's request, what the backend answers with, options, and
// what comes out; which files that are is said where the tests are
// (translate/golden_test.go, chatfront_golden_test.go,
// responses_responses_golden_test.go).
package goldencase

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// File is one file of a case.
type File = txtar.File

// Case is one golden case, or a recording.
type Case struct {
	// Name is that of the file, without its directory and extension.
	Name string
	// Comment is the text at the head, which says what the case shows.
	Comment []byte
	// Options are those of the file "options", checked.
	Options Options
	// Arrow is the direction of the translation, such as ResponsesChat.
	Arrow string
	// Files are all files in their order, "options" among them.
	Files []File

	path string
}

// Load reads a case from a file.
func Load(path string) (*Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Parse(path, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// LoadAll reads the cases of a directory. There has to be one.
func LoadAll(dir string) ([]*Case, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no golden cases", dir)
	}
	var cases []*Case
	var errs []error
	for _, path := range paths {
		c, err := Load(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cases = append(cases, c)
	}
	return cases, errors.Join(errs...)
}

// Parse reads a case. The path is that of its file, for its name and its arrow.
func Parse(path string, text []byte) (*Case, error) {
	ar := txtar.Parse(text)
	c := &Case{path: path, Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), Comment: ar.Comment, Files: ar.Files}
	c.Arrow = arrowOf(path, ar)
	c.Options = Defaults(c.Arrow)
	seen := map[string]bool{}
	for _, f := range c.Files {
		if seen[f.Name] {
			return nil, fmt.Errorf("it has %s twice", f.Name)
		}
		seen[f.Name] = true
		if !knownFile(f.Name) {
			return nil, fmt.Errorf("%s is not a file of a case", f.Name)
		}
	}
	if !seen["client.json"] {
		return nil, errors.New("it has no client.json: this is no golden case, and no recording")
	}
	if err := c.Options.parse(string(c.File("options"))); err != nil {
		return nil, err
	}
	if _, _, err := c.UpstreamError(); err != nil {
		return nil, err
	}
	return c, nil
}

// knownFile reports whether a case may have a file of that name.
func knownFile(name string) bool {
	if strings.HasPrefix(name, "out/") {
		return true
	}
	name, kind, _ := strings.Cut(name, ".")
	if first, choice, more := strings.Cut(name, "-"); more && first == "upstream" { // of a further choice
		if n, err := strconv.Atoi(choice); err != nil || n < 2 {
			return false
		}
		return kind == "sse" || kind == "json"
	}
	switch name {
	case "options":
		return kind == ""
	case "client", "history", "references", "kept", "again":
		return kind == "json"
	case "upstream":
		return kind == "sse" || kind == "json" || kind == "err"
	}
	return false
}

// File is the text of a file, nil if the case does not have it.
func (c *Case) File(name string) []byte {
	for _, f := range c.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// The arrows: from the API of the client to that of the backend. Golden cases are in
// directories of these names.
const (
	ResponsesChat      = "responses_chat"
	ChatResponses      = "chat_responses"
	ResponsesResponses = "responses_responses"
)

var arrows = []string{ResponsesChat, ChatResponses, ResponsesResponses}

// Defaults are the options of a case that says nothing, for its arrow.
func Defaults(arrow string) Options {
	switch arrow {
	case ChatResponses:
		return Options{Dialect: "openai", Reasoning: true}
	case ResponsesResponses:
		return Options{Dialect: "llama.cpp"}
	}
	return Options{Dialect: "generic"}
}

// arrowOf is the arrow of a case: that of its directory, or the one that its
// comment names, as recordings do, or the one that its files look like.
func arrowOf(path string, ar *txtar.Archive) string {
	if dir := filepath.Base(filepath.Dir(path)); slices.Contains(arrows, dir) {
		return dir
	}
	for _, arrow := range arrows {
		if bytes.Contains(ar.Comment, []byte("testdata/cases/"+arrow)) {
			return arrow
		}
	}
	for _, f := range ar.Files {
		var members map[string]json.RawMessage
		if f.Name == "client.json" && json.Unmarshal(f.Data, &members) == nil && members["messages"] != nil {
			return ChatResponses
		}
	}
	return ResponsesChat
}

// UpstreamError is the backend's HTTP error, of upstream.err: the status on the
// first line, then the body. The status is 0 if there is none.
func (c *Case) UpstreamError() (status int, body []byte, err error) {
	raw := c.File("upstream.err")
	if raw == nil {
		return 0, nil, nil
	}
	line, body, _ := bytes.Cut(raw, []byte("\n"))
	status, err = strconv.Atoi(string(bytes.TrimSpace(line)))
	if err != nil || status < 100 || status > 999 {
		return 0, nil, errors.New("upstream.err does not begin with a status")
	}
	return status, bytes.TrimSpace(body), nil
}

// Refused reports whether the case says that its request is refused before it goes
// to the backend.
func (c *Case) Refused() bool {
	sent := c.File("out/chat.json") != nil || c.File("out/responses.json") != nil
	return c.File("out/error.json") != nil && !sent
}

// SetOutput puts files in the place of those whose names begin with "out/".
func (c *Case) SetOutput(out []File) {
	c.Files = slices.DeleteFunc(slices.Clone(c.Files), func(f File) bool { return strings.HasPrefix(f.Name, "out/") })
	c.Files = append(c.Files, out...)
}

// Differences compares what came out with what the case says, and returns for each
// file that differs what is to be said of it. diff makes a text of two.
func (c *Case) Differences(out []File, diff func(want, got string) string) (faults []string) {
	for _, f := range out {
		if want := c.File(f.Name); !bytes.Equal(f.Data, want) {
			faults = append(faults, f.Name+":\n"+diff(string(want), string(f.Data)))
		}
	}
	for _, f := range c.Files {
		if strings.HasPrefix(f.Name, "out/") && !slices.ContainsFunc(out, func(g File) bool { return g.Name == f.Name }) {
			faults = append(faults, f.Name+" is not made any more")
		}
	}
	return faults
}

// Format writes the case as text.
func (c *Case) Format() []byte {
	return txtar.Format(&txtar.Archive{Comment: c.Comment, Files: c.Files})
}

// Save writes the case to the file that it was loaded from.
func (c *Case) Save() error { return os.WriteFile(c.path, c.Format(), 0o644) }
