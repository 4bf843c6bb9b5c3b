package proxy

import (
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
)

// With API keys of our own, what is passed on goes up with the operator's credential,
// which opens more than clients are to use: files, batches, the organization. So only
// what makes an answer and leaves nothing behind is passed on, and what the
// configuration adds (auth.passthrough).

// passed is a method and a path that may be passed on, without /v1. A path that ends in
// /* stands for all below it, and itself.
type passed struct{ method, path string }

var defaultPassed = []passed{
	{"GET", "/models/*"}, {"HEAD", "/models/*"}, {"POST", "/chat/completions"}, {"POST", "/completions"}, {"POST", "/embeddings"},
	{"POST", "/moderations"}, {"POST", "/audio/*"}, {"POST", "/images/*"}, {"POST", "/rerank"}, {"POST", "/alpha/search"},
}

func passedByDefault(method, path string) bool { return passes(defaultPassed, method, path) }

func passes(list []passed, method, path string) bool {
	for _, p := range list {
		if p.method != "*" && p.method != method {
			continue
		}
		if begin, ok := strings.CutSuffix(p.path, "/*"); ok {
			if path == begin || strings.HasPrefix(path, begin+"/") {
				return true
			}
		} else if p.path == path {
			return true
		}
	}
	return false
}

// readPassed reads auth.passthrough.
func readPassed(entries []string) (list []passed) {
	for _, entry := range entries {
		method, path, ok := strings.Cut(entry, " ")
		if !ok {
			method, path = "*", entry
		}
		path = strings.TrimPrefix(strings.TrimSpace(path), "/v1")
		list = append(list, passed{strings.ToUpper(method), path})
	}
	return list
}

// maybePassed refuses a request that may not be passed on, or names what is another
// tenant's.
func (x *exchange) maybePassed(path string) *translate.Error {
	s := x.server
	if !s.separates() || x.mine {
		return nil
	}
	method := string(x.ctx.Method())
	if passedByDefault(method, path) {
		return nil
	}
	if !passes(s.passed, method, path) {
		return errNoSuchURL(method, pathOf(x.ctx))
	}
	// Of what the configuration adds, a path with an id is its owner's.
	segments := strings.Split(strings.Trim(path, "/"), "/")
	if len(segments) > 1 && looksLikeID(segments[1]) {
		if mine, err := s.owns(x, segments[1]); err != nil || !mine {
			if err == nil {
				err = errNoSuchURL(method, pathOf(x.ctx))
			}
			return err
		}
	}
	return nil
}

// looksLikeID reports whether a segment of a path names an object rather than an
// endpoint: it has a digit, or a capital letter.
func looksLikeID(segment string) bool {
	return strings.ContainsAny(segment, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}
