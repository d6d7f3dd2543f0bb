package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

// TestReadmesWayToExposeIt makes tokens and certificate by the README's own
// commands, and has its clients ask.
func TestReadmesWayToExposeIt(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("NOT TESTED: openssl is not installed")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "\n### Expose it safely\n")
	_, rest, _ = strings.Cut(rest, "    cd /etc/clusto && ")
	commands, rest, found := strings.Cut(rest, "\n\n")
	dir := t.TempDir()
	sh := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(commands, "192.168.1.2", "127.0.0.1"))
	sh.Dir = dir
	if out, err := sh.CombinedOutput(); err != nil || !found {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, flag := range []string{"--token-file tokens", "--tls-cert cert.pem", "--tls-key key.pem", "--api-token-file dhcp1.token", "CLUSTO_TOKEN_FILE=admin.token"} {
		if !strings.Contains(rest, flag) {
			t.Errorf("the README does not say %s", flag)
		}
	}
	d := start(t, nil, "--db", originalFile(t), "--token-file", in("tokens"), "--tls-cert", in("cert.pem"), "--tls-key", in("key.pem"))
	for name, writes := range map[string]bool{"dhcp1.token": false, "admin.token": true} {
		token, err := os.ReadFile(in(name))
		if err != nil {
			t.Fatal(err)
		}
		c := access{cert: in("cert.pem")}.as(t, d, strings.TrimSpace(string(token)))
		if _, err := c.Host(t.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Apply(t.Context(), nil); writes != (err == nil) || err != nil && !errors.Is(err, client.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
