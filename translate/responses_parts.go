package translate

import (
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// partKind is the kind of a content part.
type partKind uint8

const (
	partUnknown partKind = iota
	partText             // input_text, output_text, and what else is only text
	partRefusal
	partImage
	partFile
	partAudio
	partOther // known, but of no use to a chat backend
)

var partTypeNames = []string{
	"input_text", "input_image", "input_file", "input_audio", "output_text", "refusal",
	"summary_text", "reasoning_text", "text", "computer_screenshot", "encrypted_content", "scoped_content",
}

func partKindOf(typ []byte) partKind {
	switch string(typ) {
	case "input_text", "output_text", "text", "summary_text", "reasoning_text":
		return partText
	case "refusal":
		return partRefusal
	case "input_image", "computer_screenshot":
		return partImage
	case "input_file":
		return partFile
	case "input_audio":
		return partAudio
	case "encrypted_content", "scoped_content":
		return partOther
	}
	return partUnknown
}

// checkParts checks the parts of a message or of a call's output.
func checkParts(d *jsonx.Doc, n uint32, path string, of itemKind) *Error {
	j := -1
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		j++
		at := func(member string) string { return path + "[" + strconv.Itoa(j) + "]" + member }
		if d.Kind(v) != jsonx.Object {
			return errType(at(""), "an object", got(d, v))
		}
		typ := d.Get(v, "type")
		if !d.Present(typ) {
			return errMissing(at(".type"))
		}
		if d.Kind(typ) != jsonx.String {
			return errType(at(".type"), "a string", got(d, typ))
		}
		kind := partKindOf(d.Str(typ))
		if kind == partUnknown {
			if strings.Contains(d.Text(typ), ":") {
				continue
			}
			return errValue(at(".type"), d.Text(typ), partTypeNames...)
		}
		if of == kindAssistant && kind != partText && kind != partRefusal {
			return errValue(at(""), d.Text(typ), "output_text", "refusal")
		}
		if of != kindAssistant && kind == partRefusal {
			return errValue(at(""), d.Text(typ), "input_text", "input_image", "input_file", "scoped_content", "input_audio")
		}
		if d.Is(typ, "computer_screenshot") {
			continue // without an image there is nothing to see, and it is reported
		}
		if err := checkPart(d, v, kind, at); err != nil {
			return err
		}
	}
	return nil
}

func checkPart(d *jsonx.Doc, v uint32, kind partKind, at func(string) string) *Error {
	need := func(member string) *Error {
		n := d.Get(v, member)
		if !d.Present(n) {
			return errMissing(at("." + member))
		}
		if d.Kind(n) != jsonx.String {
			return errType(at("."+member), "a string", got(d, n))
		}
		return nil
	}
	strings := func(members ...string) *Error {
		for _, m := range members {
			if n := d.Get(v, m); d.Present(n) && d.Kind(n) != jsonx.String {
				return errType(at("."+m), "a string", got(d, n))
			}
		}
		return nil
	}
	switch kind {
	case partText:
		return need("text")
	case partRefusal:
		return need("refusal")
	case partImage:
		if err := strings("image_url", "file_id"); err != nil {
			return err
		}
		if !d.Present(d.Get(v, "image_url")) && !d.Present(d.Get(v, "file_id")) {
			return errMissing(at(".image_url"))
		}
		if n := d.Get(v, "detail"); d.Present(n) {
			return checkEnum(d, n, at(".detail"), []string{"low", "high", "auto", "original"})
		}
	case partFile:
		if err := strings("file_data", "file_id", "file_url", "filename"); err != nil {
			return err
		}
		if !d.Present(d.Get(v, "file_data")) && !d.Present(d.Get(v, "file_id")) && !d.Present(d.Get(v, "file_url")) {
			return errMissing(at(".file_data"))
		}
	case partAudio:
		if n := d.Get(v, "input_audio"); d.Kind(n) != jsonx.Object {
			if !d.Present(n) {
				return errMissing(at(".input_audio"))
			}
			return errType(at(".input_audio"), "an object", got(d, n))
		}
	}
	return nil
}
