package storetest

import (
	"bytes"
	"fmt"
	"time"

	"antiphon/proxy/store"
)

// diffDoc says how got differs from want, or "".
func diffDoc(got, want *store.Doc) string {
	switch {
	case got == nil:
		return "is nil"
	case got.Kind != want.Kind || got.Key != want.Key:
		return fmt.Sprintf("is %q, %q", got.Kind, got.Key)
	case got.Version != want.Version:
		return fmt.Sprintf("Version %d, want %d", got.Version, want.Version)
	case !got.Expires.Equal(want.Expires) || got.Expires.Location() != time.UTC:
		return fmt.Sprintf("Expires %v, want %v", got.Expires, want.Expires)
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Sprintf("Body %.80q, want %.80q", got.Body, want.Body)
	}
	return ""
}

func diffEntry(got, want *store.Entry) string {
	switch {
	case got == nil:
		return "is nil"
	case got.Seq != want.Seq:
		return fmt.Sprintf("Seq %d, want %d", got.Seq, want.Seq)
	case got.Key != want.Key:
		return fmt.Sprintf("Key %q, want %q", got.Key, want.Key)
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Sprintf("Body %.80q, want %.80q", got.Body, want.Body)
	}
	return ""
}
