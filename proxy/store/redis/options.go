package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Defaults of Options.
const (
	DefaultPrefix  = "antiphon:"
	DefaultTimeout = 250 * time.Millisecond
)

// Options are what Open can be told. URL is required.
type Options struct {
	// URL says where the server is:
	//
	//	redis://[USER:PASSWORD@]HOST[:6379][/DATABASE][?addr=HOST:PORT…]
	//
	// rediss: with TLS; valkey: and valkeys: are the same. More addresses are
	// other nodes of a cluster, which is recognised by asking, or, with
	// master_set=NAME, sentinels.
	URL string

	// Prefix begins the names of all keys, so that deployments can share a
	// server. It must not contain braces. Default DefaultPrefix.
	Prefix string

	// Timeout is the longest that any call takes (but Wait, which waits), also
	// when its context would allow more. Default DefaultTimeout.
	Timeout time.Duration

	// TLS is used with rediss: and valkeys: in place of the system's authorities
	// and no certificate. ServerName is set if it is empty.
	TLS *tls.Config

	// Now is the clock that decides what has expired. Default time.Now. The
	// clocks of all replicas should agree; the server's matters little.
	Now func() time.Time

	// Log, if not nil, is told when the server is out of reach (with the cause)
	// and when it is back (with nil). It is called rarely and must return soon.
	Log func(message string, err error)
}

func (o *Options) setDefaults() {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = func(string, error) {}
	}
}

// Check returns an error that a user can act on if the URL or the prefix cannot
// be used. The error does not contain the password.
func (o *Options) Check() error {
	_, err := o.client()
	return err
}

// client is how the client library is to connect.
func (o *Options) client() (valkey.ClientOption, error) {
	if strings.ContainsAny(o.Prefix, "{}") {
		return valkey.ClientOption{}, fmt.Errorf("store: redis: the prefix %q must not contain braces", o.Prefix)
	}
	u, err := url.Parse(o.URL)
	if err != nil { // the error would quote the URL
		return valkey.ClientOption{}, errors.New("store: redis: the URL cannot be read; " + urlForm)
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "valkey" && u.Scheme != "valkeys":
		return valkey.ClientOption{}, fmt.Errorf("store: redis: unknown scheme %q; %s", u.Scheme, urlForm)
	case u.Hostname() == "":
		return valkey.ClientOption{}, errors.New("store: redis: the URL has no host; " + urlForm)
	case u.Fragment != "":
		return valkey.ClientOption{}, errors.New("store: redis: the URL has a '#'; in a password it is written %23")
	}
	for name := range u.Query() {
		switch name {
		case "addr", "master_set", "db", "client_name", "protocol", "skip_verify":
		default:
			return valkey.ClientOption{}, fmt.Errorf("store: redis: unknown parameter %q in the URL; "+
				"it can have addr, master_set, db, client_name, protocol and skip_verify", name)
		}
	}
	opt, err := valkey.ParseURL(o.URL)
	if err != nil {
		return valkey.ClientOption{}, fmt.Errorf("store: redis: the URL: %w", err)
	}
	if opt.TLSConfig != nil && o.TLS != nil {
		c := o.TLS.Clone()
		c.InsecureSkipVerify = c.InsecureSkipVerify || opt.TLSConfig.InsecureSkipVerify
		if c.ServerName == "" {
			c.ServerName = u.Hostname()
		}
		opt.TLSConfig = c
	}
	opt.Sentinel.TLSConfig = opt.TLSConfig
	opt.Sentinel.Username, opt.Sentinel.Password = opt.Username, opt.Password
	opt.Sentinel.TopologyRefreshInterval = 5 * time.Second // a lost event would bind us to the old primary
	if opt.ClientName == "" {
		opt.ClientName = "antiphon"
	}
	// A connection that answers nothing for this long is given up: it may be one
	// to a machine that is gone. Calls do not wait for that; their contexts end.
	opt.Dialer = net.Dialer{Timeout: o.Timeout, KeepAlive: time.Second}
	opt.ConnWriteTimeout = max(time.Second, 2*o.Timeout)
	opt.DisableCache = true
	opt.DisableRetry = true     // call.go has the rule
	opt.AlwaysPipelining = true // or a call that times out would cut the connection under others
	return opt, nil
}

const urlForm = "it is redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss: for TLS"
