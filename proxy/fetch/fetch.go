// Package fetch gets images and files from URLs that clients name, for backends
// that need the bytes. A client must not be able to reach with it what only this
// machine can reach: only https on port 443, only addresses of the public
// internet, looked at when the connection is made and after every redirect, with
// bounds on time, size and redirects, and nothing of the client's or of this
// server's own sent along.
package fetch

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Options are what a Client is made of.
type Options struct {
	MaxBytes int64         // of one file
	Timeout  time.Duration // for one file, from the name lookup to the last byte

	// For tests: TLS in place of the system's authorities, and Allow in place of
	// Public and the port.
	TLS   *tls.Config
	Allow func(netip.AddrPort) bool
}

// maxRedirects is how often a server may send us elsewhere.
const maxRedirects = 3

// Client fetches. Any number of goroutines may use it.
type Client struct {
	opt  Options
	http *http.Client
}

// Errors that say whose fault it is. What a name resolves to is not told.
var (
	ErrURL      = errors.New("only https URLs of public hosts on port 443 are fetched")
	ErrTooLarge = errors.New("it is too large")
	ErrType     = errors.New("it is neither an image nor a document")
)

// New makes a client. It connects nowhere yet.
func New(opt Options) *Client {
	c := &Client{opt: opt}
	allow := opt.Allow
	if allow == nil {
		allow = func(at netip.AddrPort) bool { return at.Port() == 443 && Public(at.Addr()) }
	}
	dialer := &net.Dialer{Timeout: opt.Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !allow(at) {
			return ErrURL
		}
		return nil
	}}
	c.http = &http.Client{
		Timeout: opt.Timeout,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: opt.TLS, TLSHandshakeTimeout: opt.Timeout,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("it is moved too often")
			}
			req.Header.Del("Referer")
			return c.checkURL(req.URL)
		},
	}
	return c
}

// checkURL refuses what is not worth a name lookup.
func (c *Client) checkURL(u *url.URL) error {
	if u.Scheme != "https" || u.User != nil || u.Hostname() == "" || u.Opaque != "" {
		return ErrURL
	}
	if c.opt.Allow != nil {
		return nil
	}
	if port := u.Port(); port != "" && port != "443" {
		return ErrURL
	}
	// An address in the URL is checked once more when it is dialled.
	if ip, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err == nil && !Public(ip) {
		return ErrURL
	}
	return nil
}

// types are the content types that are passed on.
var types = []string{"image/", "application/pdf", "text/plain", "text/csv", "text/markdown", "application/json"}

// DataURL fetches a file and appends it to dst as a data URL.
func (c *Client) DataURL(ctx context.Context, dst []byte, rawURL string) ([]byte, error) {
	u, err := url.Parse(rawURL)
	if err != nil || c.checkURL(u) != nil {
		return dst, ErrURL
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return dst, ErrURL
	}
	req.Header.Set("User-Agent", "antiphon")
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, ErrURL) {
			return dst, ErrURL
		}
		return dst, errors.New("it cannot be fetched") // the error has addresses in it
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return dst, fmt.Errorf("its server answers with status %d", resp.StatusCode)
	}
	kind, ok := mediaType(resp.Header.Get("Content-Type"))
	if !ok {
		return dst, ErrType
	}
	if resp.ContentLength > c.opt.MaxBytes {
		return dst, ErrTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, c.opt.MaxBytes+1))
	switch {
	case err != nil:
		return dst, errors.New("it cannot be read to its end")
	case int64(len(data)) > c.opt.MaxBytes:
		return dst, ErrTooLarge
	}
	return appendDataURL(dst, kind, data), nil
}

// mediaType is a Content-Type without its parameters; ok says that such files are
// passed on.
func mediaType(header string) (kind string, ok bool) {
	kind, _, _ = strings.Cut(header, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	for _, t := range types {
		ok = ok || kind == t || strings.HasSuffix(t, "/") && strings.HasPrefix(kind, t)
	}
	return kind, ok && !strings.ContainsAny(kind, "\"\\, \t")
}

// AppendDataURL appends a file as a data URL. What it is, is seen by its bytes
// where its server does not say so. ErrType.
func AppendDataURL(dst []byte, contentType string, data []byte) ([]byte, error) {
	kind, ok := mediaType(contentType)
	if !ok {
		kind, ok = mediaType(http.DetectContentType(data))
	}
	if !ok {
		return dst, ErrType
	}
	return appendDataURL(dst, kind, data), nil
}

func appendDataURL(dst []byte, kind string, data []byte) []byte {
	dst = append(dst, "data:"...)
	dst = append(dst, kind...)
	dst = append(dst, ";base64,"...)
	return base64.StdEncoding.AppendEncode(dst, data)
}
