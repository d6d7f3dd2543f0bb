package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

const upURL = "https://127.0.0.1:9996"

// upCertificate makes a certificate that vouches for itself, and its key, in PEM.
func upCertificate(t *testing.T, serial int64, ips ...net.IP) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	as := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"inventory"}, IPAddresses: ips,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, as, as, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// upAccess is a services.conf with what keeps others out of the inventory, and
// the environment of one who may change it.
func upAccess(t *testing.T) (conf, cert, key string) {
	t.Helper()
	certText, keyText := upCertificate(t, 1, net.IPv4(127, 0, 0, 1))
	cert, key = write(t, "cert.pem", certText), write(t, "key.pem", keyText)
	tokens := write(t, "tokens", "read reader-reader-reader\nwrite writer-writer-writer admin\n")
	t.Setenv("CLUSTO_CA_FILE", write(t, "ca.pem", certText))
	t.Setenv("CLUSTO_TOKEN_FILE", write(t, "writer", "writer-writer-writer\n"))
	conf = write(t, "services.conf", `{"http": {"db": "/nowhere", "listen": "127.0.0.1:1", "read_only_get": true, "max_connections": 9,
		"max_requests": 9, "max_streams": 9, "max_feeds": 9, "max_batches": 9, "max_body": 9, "request_timeout": "9s", "log_format": "json", "log_level": "warn",
		"token_file": "`+tokens+`", "tls_cert": "`+cert+`", "tls_key": "/nowhere/key"}}`)
	return conf, cert, key
}

// TestUpWithTokensOverTLS: the inventory of clusto up could not be shown to a
// network, for it had neither. Its own daemons get in, and go on when the
// certificate is another one, which does not name the address that they ask.
func TestUpWithTokensOverTLS(t *testing.T) {
	conf, cert, key := upAccess(t)
	needSNMP(t)
	peer := upCable(t)
	if err := peer.AddAddr("cli0", netip.MustParsePrefix("192.168.1.2/24")); err != nil {
		t.Fatal(err)
	}
	stop := up(t, "--inventory", write(t, "site.yaml", seed), "--config", conf, "--tls-key", key, "--traps-hold-down", "0s")
	bound(t, clientOf(t, peer, [6]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55}))
	if r := runClusto(t, "", "show", "ex0000", "--api-url", upURL, "--api-token-file", ""); r.code == 0 || !strings.Contains(r.err, "a token is needed") {
		t.Errorf("without a token: %+v", r)
	}
	if r := runClusto(t, "", "show", "ex0000"); r.code == 0 {
		t.Errorf("without TLS: %+v", r)
	}
	rack := write(t, "rack.yaml", strings.ReplaceAll(rackSeed, "lan: {cidr: 192.168.1.0/24, gateway: 192.168.1.254}", "lan: {baseip: 192.168.1.0, netmask: 255.255.255.0, gateway: 192.168.1.254}"))
	for _, args := range [][]string{
		{"import", rack},
		{"rack", "create", "sv2-r01", "--layout", "201001", "--in", "sv2", "--switch-ip", "192.168.1.2", "--discover"},
	} {
		if r := runClusto(t, "", append(args, "--api-url", upURL)...); r.code != 0 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	certText, keyText := upCertificate(t, 2)
	for file, text := range map[string]string{key: keyText, cert: certText} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := runClusto(t, "", "show", "ex0000", "--api-url", upURL); r.code == 0 || !strings.Contains(r.err, "certificate") {
		t.Errorf("the new certificate: %+v", r)
	}
	if err := inform(t, peer, "public"); err != nil {
		t.Error(err)
	}
	counted(t, `clusto_snmptrapd_events_total{outcome="created"} 1`)
	bound(t, clientOf(t, peer, [6]byte{0, 0x1e, 0xc9, 0, 10, 1}))
	if code := stop(); code != 0 {
		t.Errorf("SIGTERM: code %d", code)
	}
}

// TestUpAccessRefuses: in the words of section http, or of the flag.
func TestUpAccessRefuses(t *testing.T) {
	upCable(t)
	site := write(t, "site.yaml", seed)
	conf, _, key := upAccess(t)
	unknown := write(t, "services.conf", "{\"http\": {\n\"tokenfile\": \"x\"}}")
	half := write(t, "services.conf", "{\"http\": {\n\"tls_cert\": \"x\"}}")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--config", conf}, "/nowhere/key"},
		{[]string{"--config", conf, "--tls-key", key, "--token-file", write(t, "empty", "# none\n")}, "empty: it has no token"},
		{[]string{"--config", unknown}, unknown + `:2: http.tokenfile: unknown key; did you mean "token_file"?`},
		{[]string{"--config", half}, "--tls-key (http.tls_key in services.conf): it is missing; name the file with the key of tls_cert"},
		{[]string{"--api-token-file", key}, "--api-token-file has no meaning here"},
	} {
		r := runClusto(t, "", append([]string{"up", "--interface", "up0", "--inventory", site}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(r.err), "\n")
		if last := lines[len(lines)-1]; r.code != exitUsage || !strings.Contains(last, c.want) {
			t.Errorf("%v: code %d, %q; want %q", c.args, r.code, r.err, c.want)
		}
	}
	help := runClusto(t, "", "up", "--help").out
	for _, want := range []string{"--token-file=FILE", "--tls-cert=FILE", "--tls-key=FILE", "(section http of services.conf)"} {
		if !strings.Contains(help, want) {
			t.Errorf("no %s in\n%s", want, help)
		}
	}
}
