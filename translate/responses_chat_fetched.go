package translate

import (
	"bytes"
	"slices"

	"antiphon/translate/jsonx"
)

// Some backends want the bytes of what a client only names by URL: images, where
// the dialect says so, and files always, because a chat request has no place for
// a file's URL. Whoever calls AppendChat may fetch what Remote lists and give it
// as data URLs (ChatOptions.Fetched); what is not given is dropped and reported.

// isRemote reports whether a string is the URL of something elsewhere.
func isRemote(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) != jsonx.String {
		return false
	}
	return !bytes.HasPrefix(d.Str(n), []byte("data:"))
}

// fetchedFile is the data URL that stands for the part's file_url, or nil.
func (m *messages) fetchedFile(d *jsonx.Doc, part uint32) []byte {
	url := d.Get(part, "file_url")
	if !d.Present(url) || d.Present(d.Get(part, "file_data")) || len(m.fetched) == 0 {
		return nil
	}
	return m.fetched[d.Text(url)]
}

// Remote lists the URLs in the request's own input whose bytes the backend wants,
// each once, in their order.
func (r *Request) Remote(dialect *Dialect) []string {
	if dialect.ImageURLs && !dialect.Files {
		return nil
	}
	var urls []string
	add := func(d *jsonx.Doc, n uint32) {
		if d.Present(n) && isRemote(d, n) {
			if url := d.Text(n); !slices.Contains(urls, url) {
				urls = append(urls, url)
			}
		}
	}
	for i := range r.items {
		it := &r.items[i]
		array := it.content
		if it.kind == kindOutput {
			array = it.payload
		}
		d := it.doc
		if array == 0 || d.Kind(array) != jsonx.Array {
			continue
		}
		for v, end := d.First(array), d.End(array); v < end; v = d.Next(v) {
			typ := d.GetString(v, "type")
			if typ == 0 {
				continue
			}
			switch partKindOf(d.Str(typ)) {
			case partImage:
				if dialect.Images && !dialect.ImageURLs {
					add(d, d.Get(v, "image_url"))
				}
			case partFile:
				if dialect.Files && !d.Present(d.Get(v, "file_data")) {
					add(d, d.Get(v, "file_url"))
				}
			}
		}
	}
	return urls
}
