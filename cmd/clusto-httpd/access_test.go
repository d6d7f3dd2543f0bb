package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

const (
	reader = "r3ader-r3ader-r3ader"
	writer = "wr1ter-wr1ter-wr1ter"
	later  = "l8ter--l8ter--l8ter-" // as long as the others
)

func write(t *testing.T, file, text string) string {
	t.Helper()
	if !filepath.IsAbs(file) {
		file = filepath.Join(t.TempDir(), file)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// newCertificate makes a certificate for 127.0.0.1 that vouches for itself, and
// its key, in PEM.
func newCertificate(t *testing.T, serial int64, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	as := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "inventory"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, as, as, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	der8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der8}))
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

// access is a clusto-httpd's token file, certificate and key.
type access struct{ tokens, cert, key string }

func newAccess(t *testing.T) access {
	cert, key := newCertificate(t, 1, tomorrow())
	return access{write(t, "tokens", "read "+reader+" dhcp1\nwrite "+writer+" admin\n"), write(t, "cert.pem", cert), write(t, "key.pem", key)}
}

func (a access) flags(more ...string) []string {
	return append([]string{"--token-file", a.tokens, "--tls-cert", a.cert, "--tls-key", a.key}, more...)
}

// as gives a client that trusts the certificate and has a token.
func (a access) as(t *testing.T, d *running, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "https://" + d.addr, CAFile: a.cert, Token: func() string { return token }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestTokensOverTLS has clients of every kind, of which some get in.
func TestTokensOverTLS(t *testing.T) {
	a := newAccess(t)
	d := start(t, nil, a.flags("--db", originalFile(t))...)
	mac := clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}
	pool := []clusto.Op{{Op: "entity", Name: "late", Driver: "pool"}}
	for _, tt := range []struct {
		token       string
		read, write bool
	}{{"", false, false}, {later, false, false}, {reader, true, false}, {writer, true, true}} {
		c := a.as(t, d, tt.token)
		if err := c.Ready(t.Context()); err != nil {
			t.Errorf("%q: health: %v", tt.token, err)
		}
		_, err := c.Host(t.Context(), mac)
		if tt.read != (err == nil) || err != nil && (!errors.Is(err, client.ErrDenied) || !errors.Is(err, clusto.ErrUnavailable)) {
			t.Errorf("%q reads: %v", tt.token, err)
		}
		if _, err := c.Hosts(t.Context(), func(*clusto.Host) error { return nil }); tt.read != (err == nil) {
			t.Errorf("%q reads all: %v", tt.token, err)
		}
		if err := c.Apply(t.Context(), pool); tt.write != (err == nil) || err != nil && !errors.Is(err, client.ErrDenied) {
			t.Errorf("%q writes: %v", tt.token, err)
		}
	}
	stranger, err := client.New(client.Config{URL: "https://" + d.addr})
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Ready(t.Context()); !errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that does not trust the certificate: %v", err)
	}
	d.end(t, syscall.SIGTERM)
	if text := d.early + d.log.String(); strings.Contains(text, reader) || strings.Contains(text, writer) || !strings.Contains(text, `"by":"admin"`) {
		t.Errorf("logged:\n%s", text)
	}
}

// TestTLS: old versions are refused, HTTP/2 is spoken, and redirects stay on it.
func TestTLS(t *testing.T) {
	a := newAccess(t)
	d := start(t, nil, "--db", originalFile(t), "--tls-cert", a.cert, "--tls-key", a.key)
	dial := func(version uint16) error {
		conn, err := tls.Dial("tcp", d.addr, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version, InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if err := dial(tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.addr+"/pool/s0001/attrs", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.ProtoMajor != 2 || to != "https://"+d.addr+"/server/s0001/attrs" {
		t.Errorf("%s %s to %q", resp.Proto, resp.Status, to)
	}
	plain, err := http.Get("http://" + d.addr + "/readyz") //nolint:noctx // the server ends it
	if err != nil {
		t.Fatal(err)
	}
	if plain.Body.Close(); plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %s", plain.Status)
	}
}

// TestTokensChange takes effect at the next request; a file that is wrong then
// changes nothing.
func TestTokensChange(t *testing.T) {
	a := newAccess(t)
	d := start(t, nil, a.flags("--db", originalFile(t))...)
	allowed := func(token string) bool {
		_, err := a.as(t, d, token).Networks(t.Context())
		return err == nil
	}
	check := func(when string, first, second bool) {
		t.Helper()
		if f, s := allowed(reader), allowed(later); f != first || s != second {
			t.Errorf("%s: the first token %v, the second %v", when, f, s)
		}
	}
	check("at the start", true, false)
	write(t, a.tokens, "read "+later+" dhcp1-new\n")
	check("another token", false, true)
	write(t, a.tokens, "reed "+reader+"\n")
	check("a file that is wrong", false, true)
	if err := os.Remove(a.tokens); err != nil {
		t.Fatal(err)
	}
	check("no file", false, true)
	write(t, a.tokens, "read "+reader+"\n\n")
	check("a file again", true, false)

	// What looks unchanged is read at SIGHUP.
	info, err := os.Stat(a.tokens)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a.tokens, "read "+later+"\n\n")
	if err := os.Chtimes(a.tokens, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("a file that looks the same", true, false)
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for !allowed(later) {
		if t.Context().Err() != nil || d.cmd.ProcessState != nil {
			t.Fatal("SIGHUP did not have it read")
		}
	}
	check("after SIGHUP", false, true)
	if code := d.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if text := d.log.String(); !strings.Contains(text, a.tokens+":1: the first word is neither") || strings.Contains(text, reader) {
		t.Errorf("logged:\n%s", text)
	}
}

// TestCertificateChanges at the next handshake; while certificate and key do not
// fit, the old ones serve.
func TestCertificateChanges(t *testing.T) {
	a := newAccess(t)
	d := start(t, nil, a.flags("--db", originalFile(t))...)
	serial := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", d.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	cert, key := newCertificate(t, 2, tomorrow())
	if n := serial(); n != 1 {
		t.Errorf("at the start: %d", n)
	}
	write(t, a.cert, cert)
	if n := serial(); n != 1 {
		t.Errorf("a certificate without its key: %d", n)
	}
	write(t, a.key, key)
	if n := serial(); n != 2 {
		t.Errorf("both: %d", n)
	}
}

// TestExpiredCertificate serves, for it may be the clock, and warns.
func TestExpiredCertificate(t *testing.T) {
	cert, key := newCertificate(t, 1, time.Now().Add(-time.Hour))
	file := write(t, "old.pem", cert)
	d := start(t, nil, "--db", ":memory:", "--tls-cert", file, "--tls-key", write(t, "key.pem", key))
	if !strings.Contains(d.early, "not valid at this time") || !strings.Contains(d.early, file) {
		t.Errorf("logged:\n%s", d.early)
	}
}
