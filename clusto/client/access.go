package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/clusto/clusto-engine/clusto"
)

// ErrDenied says that clusto-httpd wants a token, or another one. It wraps
// clusto.ErrUnavailable: it says nothing about what was asked for.
var ErrDenied = fmt.Errorf("access denied: %w", clusto.ErrUnavailable)

// authorize adds the token to a request.
func (c *Client) authorize(req *http.Request) {
	if c.cfg.Token == nil {
		return
	}
	if token := c.cfg.Token(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
}

// denied reports whether an answer is about who asks.
func denied(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
}

// Trust says whose certificates count for Config.CAFile. The error wraps
// clusto.ErrInvalid.
func Trust(caFile string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w: %w", err, clusto.ErrInvalid)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the certificates to trust: %s has none in PEM: %w", caFile, clusto.ErrInvalid)
	}
	return cfg, nil
}
