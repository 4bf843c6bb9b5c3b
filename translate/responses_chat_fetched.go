package translate

import (
	"bytes"
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Some backends want the bytes of what a client only names: images and files by
// URL, where the dialect says so (a chat request has no place for a file's URL at
// all), and by file_id. Whoever calls AppendChat may fetch what Remote lists and
// give it as data URLs (ChatOptions.Fetched); what is not given is dropped and
// reported.

// FetchedFile is what a client has named.
type FetchedFile struct {
	Data []byte // a data URL
	Name string // of the file, if that is known
}

// FileIDKey is the key of an uploaded file in ChatOptions.Fetched.
func FileIDKey(id string) string { return "file_id:" + id }

// isRemote reports whether a string is the URL of something elsewhere.
func isRemote(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) != jsonx.String {
		return false
	}
	return !bytes.HasPrefix(d.Str(n), []byte("data:"))
}

// fetchedImage is the data URL that stands for an image, or nil.
func (m *messages) fetchedImage(d *jsonx.Doc, part uint32) []byte {
	if len(m.fetched) == 0 {
		return nil
	}
	if url := d.Get(part, "image_url"); d.Present(url) {
		return m.fetched[d.Text(url)].Data
	}
	return m.fetched[FileIDKey(d.Text(d.Get(part, "file_id")))].Data
}

// fetchedFile is what stands for a part that has a file's URL or id, if anything.
func (m *messages) fetchedFile(d *jsonx.Doc, part uint32) FetchedFile {
	if len(m.fetched) == 0 || d.Present(d.Get(part, "file_data")) {
		return FetchedFile{}
	}
	if url := d.Get(part, "file_url"); d.Present(url) {
		return m.fetched[d.Text(url)]
	}
	if m.dialect.FileIDs {
		return FetchedFile{}
	}
	return m.fetched[FileIDKey(d.Text(d.Get(part, "file_id")))]
}

// named is the member that names what a part is about: its URL, or the file's id.
func named(d *jsonx.Doc, part uint32, url string) string {
	if d.Present(d.Get(part, url)) {
		return "." + url
	}
	return ".file_id"
}

// Remote lists the URLs in the request's own input whose bytes the backend wants,
// and the ids of uploaded files, each once, in their order.
func (r *Request) Remote(dialect *Dialect) (urls, ids []string) {
	if !dialect.Images && !dialect.Files {
		return nil, nil
	}
	add := func(list []string, d *jsonx.Doc, n uint32) []string {
		if text := d.Text(n); !slices.Contains(list, text) {
			list = append(list, text)
		}
		return list
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
			kind := partKindOf(d.Str(typ))
			var url uint32
			switch {
			case kind == partImage && dialect.Images:
				url = d.Get(v, "image_url")
			case kind == partFile && dialect.Files && !d.Present(d.Get(v, "file_data")):
				url = d.Get(v, "file_url")
			default:
				continue
			}
			switch id := d.Get(v, "file_id"); {
			case d.Present(url):
				if (kind == partFile || !dialect.ImageURLs) && isRemote(d, url) {
					urls = add(urls, d, url)
				}
			case d.Present(id) && (kind == partImage || !dialect.FileIDs):
				ids = add(ids, d, id)
			}
		}
	}
	return urls, ids
}
