package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/fetch"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// fetches reports whether anything is fetched for upstreams.
func (s *Server) fetches() bool { return s.fetcher != nil || s.cfg.Fetch.FileIDs }

// fetchRemote fetches what the upstream needs the bytes of and the client only
// names, by URL or by the id of a file that it has uploaded to the upstream. What
// cannot be fetched is left out, and the loss report says so.
func (x *exchange) fetchRemote() map[string]translate.FetchedFile {
	s := x.server
	if !s.fetches() {
		return nil
	}
	urls, ids := x.req.Remote(x.dialect)
	if s.fetcher == nil {
		urls = nil
	}
	if !s.cfg.Fetch.FileIDs {
		ids = nil
	}
	urls = urls[:min(len(urls), s.cfg.Fetch.MaxFiles)]
	ids = ids[:min(len(ids), s.cfg.Fetch.MaxFiles-len(urls))]
	if len(urls)+len(ids) == 0 {
		return nil
	}
	if x.acceptedID != "" { // it was fetched when the response was accepted
		if kept := s.fetchedFor(x.tenant, x.acceptedID); kept != nil {
			return kept
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Fetch.Timeout.Std()+time.Second)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := make(map[string]translate.FetchedFile, len(urls)+len(ids))
	keep := func(key string, file translate.FetchedFile, err error) {
		if err == nil {
			mu.Lock()
			got[key] = file
			mu.Unlock()
		}
	}
	for _, url := range urls {
		all.Go(func() {
			data, err := s.fetcher.DataURL(ctx, nil, url)
			keep(url, translate.FetchedFile{Data: data}, err)
		})
	}
	for _, id := range ids {
		if !translate.ValidID(id) { // it becomes part of a path
			continue
		}
		head := x.appendGet(nil, "/files/"+id+"/content")
		all.Go(func() {
			file, err := getFile(x.backend, head, s.cfg.Fetch.Timeout.Std(), int(s.cfg.Fetch.MaxBytes))
			keep(translate.FileIDKey(id), file, err)
		})
	}
	all.Wait()
	return got
}

// appendGet appends a GET of the upstream, with the credential that a translated
// request would have.
func (x *exchange) appendGet(h []byte, path string) []byte {
	b := x.backend
	h = append(h, "GET "...)
	h = append(h, b.target.BasePath...)
	h = append(h, path...)
	if b.target.Query != "" {
		h = append(h, '?')
		h = append(h, b.target.Query...)
	}
	h = append(h, " HTTP/1.1\r\nHost: "...)
	h = append(h, b.target.Host...)
	h = append(h, "\r\n"...)
	h = append(h, b.ownHeaders...)
	h = x.passCredential(h)
	h = append(h, "X-Request-Id: "...)
	h = append(h, x.requestID...)
	return append(h, "\r\n\r\n"...)
}

// getFile gets an uploaded file of at most that many bytes.
func getFile(b *backend, head []byte, timeout time.Duration, most int) (file translate.FetchedFile, err error) {
	var up upstream.Exchange
	stop := time.AfterFunc(timeout, func() { up.Cancel(errFileSlow) })
	defer stop.Stop()
	if err := up.Do(b.client, head, nil); err != nil {
		return file, err
	}
	var data []byte
	for err == nil {
		var p []byte
		p, err = up.Read(timeout)
		if data = append(data, p...); len(data) > most {
			err = fetch.ErrTooLarge
		}
	}
	up.Close(errors.Is(err, io.EOF))
	switch {
	case !errors.Is(err, io.EOF):
		return file, err
	case up.Header.StatusCode() != fasthttp.StatusOK:
		return file, errNoFile
	}
	_, params, _ := mime.ParseMediaType(string(up.Header.Peek("Content-Disposition"))) // without one it has no name
	file.Name = params["filename"]
	file.Data, err = fetch.AppendDataURL(nil, string(up.Header.ContentType()), data)
	return file, err
}

var (
	errFileSlow = errors.New("the upstream took too long to give the file")
	errNoFile   = errors.New("the upstream does not give the file")
)

// What was fetched for a turn is kept beside the turn's record, for as long: later
// turns that go on from it send it again, and it may be gone by then, or another.

const kindFetched = "fetched"

// keptFile is a file as it is kept.
type keptFile struct {
	Data string `json:"data"`
	Name string `json:"name,omitempty"`
}

// keepFetched keeps what was fetched for a response. If the store cannot take it,
// turns that go on from the response say that it is left out.
func (x *exchange) keepFetched(id string, expires time.Time) {
	if len(x.chat.Fetched) == 0 {
		return
	}
	files := make(map[string]keptFile, len(x.chat.Fetched))
	for key, file := range x.chat.Fetched {
		files[key] = keptFile{string(file.Data), file.Name}
	}
	body, err := json.Marshal(files)
	if err != nil {
		return
	}
	doc := &store.Doc{Kind: kindFetched, Key: id, Expires: expires, Body: body}
	batch := &store.Batch{Put: []store.DocWrite{{Doc: doc, If: store.AnyVersion}}}
	if err := x.server.store.Commit(storeContext(), x.tenant, batch); err != nil {
		x.server.metrics.StoreErrors.Add(1)
	}
}

// keptFetched is what was fetched for a stored response, if it can have been.
func (s *Server) keptFetched(rec *store.Record) map[string]translate.FetchedFile {
	if !s.fetches() {
		return nil
	}
	if !bytes.Contains(rec.Input, []byte("input_image")) && !bytes.Contains(rec.Input, []byte("input_file")) {
		return nil
	}
	return s.fetchedFor(rec.Tenant, rec.ID)
}

// fetchedFor is what was fetched for a response, as far as it was kept.
func (s *Server) fetchedFor(tenant, id string) map[string]translate.FetchedFile {
	doc, err := s.store.Doc(storeContext(), tenant, kindFetched, id)
	if err != nil {
		return nil
	}
	var files map[string]keptFile
	if json.Unmarshal(doc.Body, &files) != nil {
		return nil
	}
	fetched := make(map[string]translate.FetchedFile, len(files))
	for key, file := range files {
		fetched[key] = translate.FetchedFile{Data: []byte(file.Data), Name: file.Name}
	}
	return fetched
}

// dropFetched forgets what was fetched for a response that is deleted. What is left
// behind goes when the response would have gone.
func (s *Server) dropFetched(tenant, id string) {
	if !s.fetches() {
		return
	}
	batch := &store.Batch{Delete: []store.Condition{{Kind: kindFetched, Key: id, Version: store.AnyVersion}}}
	if err := s.store.Commit(storeContext(), tenant, batch); err != nil {
		s.metrics.StoreErrors.Add(1)
	}
}
