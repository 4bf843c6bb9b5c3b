package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/translate"
)

// Some clients compress what they send: Codex with zstd. A body is unpacked in
// one piece, and never to more than a body may have that is not compressed. One
// that grows out of all proportion is given up as soon as that shows: no text
// that people or programs write compresses like that.
const (
	maxRatio    = 200     // unpacked bytes for each that came
	ratioCounts = 1 << 20 // unpacked bytes from which on the ratio counts
	maxWindow   = 8 << 20 // what RFC 8878 asks decoders of zstd to support
)

// unpacker is a decoder that can be used again.
type unpacker interface {
	io.Reader
	Reset(r io.Reader) error
}

var unpackers = map[string]*sync.Pool{
	"gzip":   {New: func() any { return new(gzip.Reader) }},
	"x-gzip": {New: func() any { return new(gzip.Reader) }},
	"zstd": {New: func() any {
		// Without concurrency it has no goroutines, and needs no Close.
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	}},
}

// acceptedEncodings is what the server says of itself to a client that has sent
// something else (RFC 7694).
const acceptedEncodings = "gzip, zstd"

// readBody reads the request's body into x.body, unpacked.
func (x *exchange) readBody() *translate.Error {
	limit := int64(x.server.cfg.Limits.Body)
	encoding := x.ctx.Request.Header.ContentEncoding()
	if len(encoding) == 0 || bytes.EqualFold(encoding, []byte("identity")) {
		return x.readAll(limit)
	}
	pool := unpackers[string(bytes.ToLower(encoding))]
	if pool == nil {
		x.ctx.Response.Header.Set("Accept-Encoding", acceptedEncodings)
		return clientError(fasthttp.StatusUnsupportedMediaType, "unsupported_content_encoding", "",
			"This server takes request bodies as they are, or with one Content-Encoding of: "+acceptedEncodings+".")
	}
	if err := x.readAll(limit); err != nil {
		return err
	}
	u := pool.Get().(unpacker) // the pools' only types
	defer pool.Put(u)
	body, err := unpack(grow(nil, min(4*len(x.body), int(limit))), u, x.body, limit, x.roomForBody)
	packed := x.body
	x.body = body
	release(packed)
	_ = u.Reset(bytes.NewReader(nil)) // so that it keeps nothing of the request
	return err
}

// unpack appends to dst what a decoder makes of a body. room is asked before so many
// bytes are taken for it.
func unpack(dst []byte, u unpacker, packed []byte, limit int64, room func(n int) *translate.Error) ([]byte, *translate.Error) {
	err := u.Reset(bytes.NewReader(packed))
	for err == nil {
		if len(dst) == cap(dst) {
			if e := room(2 * len(dst)); e != nil {
				return dst, e
			}
			more := append(grow(nil, 2*max(len(dst), 512)), dst...)
			release(dst)
			dst = more
		}
		var n int
		n, err = u.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case int64(len(dst)) > limit:
			return dst, errBodyTooLarge(limit)
		case len(dst) > ratioCounts && len(dst)/maxRatio > len(packed):
			return dst, clientError(fasthttp.StatusRequestEntityTooLarge, "", "",
				"The request body unpacks to more than "+strconv.Itoa(maxRatio)+" times its size. Send it without Content-Encoding.")
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return dst, nil
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return dst, clientError(fasthttp.StatusRequestEntityTooLarge, "", "",
			"The request body is compressed with a window of more than "+strconv.Itoa(maxWindow>>20)+" MiB.")
	}
	return dst, clientError(fasthttp.StatusBadRequest, "", "",
		"The request body is not what its Content-Encoding says, or is cut off.")
}
