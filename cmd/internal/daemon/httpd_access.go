package daemon

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// access is who may ask clusto-httpd, and what it proves itself with; both may
// be nil.
type access struct {
	tokens *kept[*httpd.Tokens]
	cert   *kept[*tls.Certificate]
}

// openAccess reads the token file and the certificate.
func openAccess(cfg *HTTPD, log *slog.Logger) (a access, err error) {
	if file := cfg.TokenFile; file != "" {
		a.tokens, err = keep(log, "token_file", func() (*httpd.Tokens, error) { return readTokens(file) }, file)
		if err != nil {
			return a, err
		}
	}
	if cfg.TLSCert != "" {
		a.cert, err = keep(log, "tls_cert and tls_key", func() (*tls.Certificate, error) {
			return readCertificate(cfg.TLSCert, cfg.TLSKey, log)
		}, cfg.TLSCert, cfg.TLSKey)
	}
	return a, err
}

func readTokens(file string) (*httpd.Tokens, error) {
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	return httpd.ParseTokens(file, text)
}

// readCertificate reads a certificate, with those between it and its authority
// behind it, and its key.
func readCertificate(certFile, keyFile string, log *slog.Logger) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readSecret(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no certificate and its key in PEM: %w", certFile, keyFile, err)
	}
	if now := time.Now(); pair.Leaf != nil && (now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore)) {
		log.Warn("the certificate is not valid at this time, and clients will refuse it: renew it, or set the clock",
			"file", certFile, "from", pair.Leaf.NotBefore, "until", pair.Leaf.NotAfter)
	}
	return &pair, nil
}

// tls gives what a server speaks TLS with, nil for none.
func (a *access) tls() *tls.Config {
	if a.cert == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.cert.get(), nil },
	}
}

// who gives the tokens that count at each moment, nil for none.
func (a *access) who() func() *httpd.Tokens {
	if a.tokens == nil {
		return nil
	}
	return a.tokens.get
}

// reload reads all files again.
func (a *access) reload() {
	if a.tokens != nil {
		a.tokens.reload()
	}
	if a.cert != nil {
		a.cert.reload()
	}
}

// warnExposed says so when others than this machine reach the server, and what
// keeps them out is missing.
func (a *access) warnExposed(addr net.Addr, log *slog.Logger) {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsLoopback() {
		return
	}
	what := ""
	switch {
	case a.tokens == nil && a.cert == nil:
		what = "EXPOSED: everybody who reaches this address may read and change the inventory; set token_file, tls_cert and tls_key, or listen on 127.0.0.1"
	case a.tokens == nil:
		what = "EXPOSED: everybody who reaches this address may read and change the inventory; set token_file, or listen on 127.0.0.1"
	case a.cert == nil:
		what = "EXPOSED: tokens cross the network in clear text, where others may read and use them; set tls_cert and tls_key, or listen on 127.0.0.1"
	default:
		return
	}
	log.Warn(what, "address", addr.String())
}
