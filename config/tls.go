package config

import (
	"crypto/tls"
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
		return nil, fmt.Errorf("tls.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.ca_file: %s has no certificate in PEM form", t.CAFile)
	}
	return pool, nil
}

// Client is the configuration of TLS clients: nil if everything is as usual.
func (t *TLS) Client() (*tls.Config, error) {
	if *t == (TLS{}) {
		return nil, nil // the usual
	}
	roots, err := t.RootCAs()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		RootCAs: roots, ServerName: t.ServerName, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: t.InsecureSkipVerify,
	}, nil
}
