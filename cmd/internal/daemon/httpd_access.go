package daemon

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// access is who may ask clusto-httpd, and what it proves itself with; both may
// be nil.
type access struct {
	tokens *kept[*httpd.Tokens]
	cert   *kept[*tls.Certificate]
	own    string // a token of this process alone; "": it needs none
}

// openAccess reads the token file and the certificate. inside adds a token, by
// which this process may ask.
func openAccess(cfg *HTTPAccess, inside bool, log *slog.Logger) (a *access, err error) {
	a = &access{}
	if file := cfg.TokenFile; file != "" {
		if inside {
			a.own = rand.Text()
		}
		a.tokens, err = keep(log, "token_file", func() (*httpd.Tokens, error) { return readTokens(file, a.own) }, file)
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

// readTokens reads a token file, and adds a token that writes, "" for none.
func readTokens(file, own string) (*httpd.Tokens, error) {
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	tokens, err := httpd.ParseTokens(file, text)
	if err != nil || own == "" {
		return tokens, err
	}
	return httpd.ParseTokens(file, fmt.Appendf(text, "\nwrite %s own-daemons\n", own))
}

// addTo lets a client of this process in. It knows the certificate, so that it
// needs neither the name in it nor who vouches for it.
func (a *access) addTo(cfg *client.Config) {
	if a.own != "" {
		cfg.Token = func() string { return a.own }
	}
	if a.cert == nil {
		return
	}
	cfg.TLS = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection asks for more
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, a.cert.get().Certificate[0]) {
				return errors.New("this is another certificate than tls_cert has")
			}
			return nil
		},
	}
}

func (a *access) scheme() string {
	if a.cert == nil {
		return "http"
	}
	return "https"
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
