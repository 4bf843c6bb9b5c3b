package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkLongChain reads a chain of more than one round trip returns.
func checkLongChain(t *testing.T, s *Store) {
	t.Helper()
	const depth, size = 300, 3000
	parent := ""
	for i := range depth {
		rec := record(fmt.Sprintf("long_%d", i), parent, 0)
		rec.Response = append(rec.Response, noise(size)...)
		must(t, s.Put(t.Context(), rec))
		parent = rec.ID
	}
	chain, err := s.Chain(t.Context(), tenant, parent)
	must(t, err)
	if len(chain) != depth {
		t.Fatalf("%d records", len(chain))
	}
	for i, rec := range chain {
		if rec.ID != fmt.Sprintf("long_%d", i) || len(rec.Response) < size {
			t.Errorf("record %d is %q with %d bytes", i, rec.ID, len(rec.Response))
		}
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// TestChainRoundTrips: a chain of any depth takes two round trips.
func TestChainRoundTrips(t *testing.T) {
	server := own(t)
	s := open(t, options(server))
	defer s.Close()
	checkLongChain(t, s)
	for _, c := range []struct {
		leaf           string
		scripts, mgets int
	}{{"long_299", 1, 4}, {"long_20", 1, 0}} {
		_, err := server.Do("CONFIG", "RESETSTAT")
		must(t, err)
		_, err = s.Chain(t.Context(), tenant, c.leaf)
		must(t, err)
		stats, err := server.Do("INFO", "commandstats")
		must(t, err)
		for command, want := range map[string]int{"evalsha": c.scripts, "mget": c.mgets} { // one pipeline of MGETs
			got := 0
			for line := range strings.Lines(stats) {
				_, _ = fmt.Sscanf(line, "cmdstat_"+command+":calls=%d", &got)
			}
			if got != want {
				t.Errorf("%s: %d × %s, want %d", c.leaf, got, command, want)
			}
		}
	}
}

// TestAccess: TLS with an authority of its own, and a user who may do no more
// than docs/STORES.md gives.
func TestAccess(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := ln.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	must(t, ln.Close())
	server := own(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file",
		filepath.Join(dir, "key.pem"), "--tls-ca-cert-file", filepath.Join(dir, "cert.pem"), "--tls-auth-clients", "no")
	rules, err := os.ReadFile("../../../docs/STORES.md")
	must(t, err)
	_, rule, found := strings.Cut(string(rules), "ACL SETUSER antiphon ")
	rule, _, _ = strings.Cut(rule, "\n")
	if !found {
		t.Fatal("docs/STORES.md has no ACL rule")
	}
	_, err = server.Do(append([]string{"ACL", "SETUSER", "antiphon"}, strings.Fields(strings.ReplaceAll(rule, ">PASSWORD", ">p@ss/word"))...)...)
	must(t, err)

	o := options(server)
	o.Prefix = "antiphon:" // that of the rule
	o.URL = "rediss://antiphon:p%40ss%2Fword@" + addr + "/0"
	o.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	s := open(t, o)
	defer s.Close()
	prepare(t, s)
	eachWorks(t, s, everyRead, everyWrite)
	must(t, s.Delete(t.Context(), tenant, "there"))
	if got := s.Stats(); got.Bytes == 0 {
		t.Errorf("%+v", got)
	}

	for what, change := range map[string]func(*Options){
		"a wrong password":          func(o *Options) { o.URL = strings.Replace(o.URL, "p%40", "q%40", 1) },
		"another user's keys":       func(o *Options) { o.Prefix = "other:" },
		"an authority that is none": func(o *Options) { o.TLS = nil },
	} {
		bad := o
		change(&bad)
		s := open(t, bad)
		err := s.Put(t.Context(), record("x", "", 0))
		outage(t, err)
		if strings.Contains(err.Error(), "ss%2Fword") || strings.Contains(err.Error(), "ss/word") {
			t.Errorf("%s: the error has the password: %v", what, err)
		}
		t.Logf("%s: %v", what, err)
		must(t, s.Close())
	}
}

// certificate writes a certificate for the loopback that is its own authority.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
