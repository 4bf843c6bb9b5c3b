package config

import (
	"crypto/x509"
	"fmt"
	"os"
)

// RootCAs reads CAFile. It returns nil, which means the system's authorities,
// when there is none.
func (t *TLS) RootCAs() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading upstream.tls.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("upstream.tls.ca_file: %s has no certificate in PEM form", t.CAFile)
	}
	return pool, nil
}
