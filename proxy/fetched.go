package proxy

import (
	"context"
	"errors"
	"io"
	"mime"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"antiphon/proxy/fetch"
	"antiphon/proxy/upstream"
	"antiphon/translate"
)

// fetchRemote fetches what the upstream needs the bytes of and the client only
// names, by URL or by the id of a file that it has uploaded to the upstream. What
// cannot be fetched is left out, and the loss report says so.
func (x *exchange) fetchRemote() map[string]translate.FetchedFile {
	s := x.server
	if s.fetcher == nil && !s.cfg.Fetch.FileIDs {
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
	up.Close(err == io.EOF)
	switch {
	case err != io.EOF:
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
