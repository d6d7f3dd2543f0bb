package daemon

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/client"
)

func tempFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTokenOfAClient is read when it changes; a file that is wrong then changes
// nothing, and no token gets into the log.
func TestTokenOfAClient(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	file := tempFile(t, "# of dhcp1\n\nfirst-first-first-1\n", 0o640)
	cfg := client.Config{URL: "http://127.0.0.1:1"}
	if err := (&APIAccess{APITokenFile: file}).AddTo(&cfg, log); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ write, want string }{
		{"", "first-first-first-1"},
		{"second-second-second\n", "second-second-second"},
		{"two\ntokens\n", "second-second-second"},
		{"third-third", "third-third"},
	} {
		if step.write != "" {
			if err := os.WriteFile(file, []byte(step.write), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := cfg.Token(); got != step.want {
			t.Errorf("after %q: %q", step.write, got)
		}
	}
	if said := text.String(); strings.Contains(said, "first-") || strings.Contains(said, "second-") || strings.Count(said, "level=ERROR") != 1 || strings.Contains(said, "clear text") {
		t.Errorf("logged:\n%s", said)
	}
}

// TestTokenInTheClear is warned of, where others see it.
func TestTokenInTheClear(t *testing.T) {
	file := tempFile(t, "first-first-first-1", 0o600)
	for url, want := range map[string]bool{
		"http://10.0.0.1:9996": true, "http://inventory": true, "https://10.0.0.1": false,
		"http://127.0.0.1:9996": false, "http://localhost:9996": false, "http://[::1]:9996": false,
	} {
		var text bytes.Buffer
		cfg := client.Config{URL: url}
		if err := (&APIAccess{APITokenFile: file}).AddTo(&cfg, slog.New(slog.NewTextHandler(&text, nil))); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), "clear text") != want {
			t.Errorf("%s: %q", url, text.String())
		}
	}
}

func TestTokenFileOfAClientThatIsWrong(t *testing.T) {
	const says = "api_token_file: "
	for _, tt := range []struct {
		file, says string
	}{
		{"/nowhere/token", says + "stat /nowhere/token"},
		{t.TempDir(), "it is no file"},
		{tempFile(t, "tok3n-tok3n-tok3n", 0o644), "chmod 640"},
		{tempFile(t, "\n# nothing\n", 0o600), "there is no token in it"},
		{tempFile(t, "tok3n-tok3n\ntok3n-tok3n", 0o600), ":2: there is more than one"},
		{tempFile(t, "read tok3n-tok3n-tok3n name", 0o600), ":1: this is no token; write it alone"},
		{tempFile(t, "tok3n\x00tok3n", 0o600), ":1: this is no token"},
		{tempFile(t, strings.Repeat("\n", secretMax+1), 0o600), "more than"},
	} {
		err := (&APIAccess{APITokenFile: tt.file}).AddTo(new(client.Config), nil)
		if err == nil || !strings.HasPrefix(err.Error(), says) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "tok3n") {
			t.Errorf("%q: %v", tt.says, err)
		}
	}
	if err := (&APIAccess{APICAFile: "/nowhere/ca"}).AddTo(new(client.Config), nil); err == nil || !strings.HasPrefix(err.Error(), "api_ca_file: ") {
		t.Error(err)
	}
}

// TestAccessFromTheEnvironment: a flag wins over services.conf, and that over
// the environment.
func TestAccessFromTheEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"env", "file", "flag"} {
		put(t, name, "a-token-a-token")
	}
	t.Setenv("CLUSTO_TOKEN_FILE", "env")
	for _, tt := range []struct{ conf, args, want, from string }{
		{"", "", "env", "$CLUSTO_TOKEN_FILE"},
		{`{"dhcp": {"api_token_file": "file"}}`, "", "file", "services.conf:1"},
		{`{"dhcp": {"api_token_file": "file"}}`, "--api-token-file=flag", "flag", "--api-token-file"},
	} {
		var d DHCP
		args := append([]string{"--check-config"}, strings.Fields(tt.args)...)
		out, code, line := load(t, "dhcp", &d, tt.conf, args...)
		if code != 0 || d.APITokenFile != tt.want {
			t.Errorf("%d %s: %q", code, line, d.APITokenFile)
		}
		for l := range strings.Lines(out) {
			if f := strings.Fields(l); f[0] == "api_token_file" && f[2] != tt.from {
				t.Errorf("from %s, want %s", f[2], tt.from)
			}
		}
	}
}

// TestDHCPServersClient gets the settings, and refuses wrong ones as such.
func TestDHCPServersClient(t *testing.T) {
	s := &DHCPServer{cfg: &DHCP{APIURL: "http://127.0.0.1:1"}, log: slog.New(slog.DiscardHandler)}
	s.cfg.APITokenFile = "/nowhere/token"
	if _, err := s.newClient(); err == nil || !strings.Contains(err.Error(), "/nowhere/token") {
		t.Error(err)
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer tok3n-tok3n-tok3n" {
			t.Errorf("%s comes with %q", r.URL, r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"api":2,"networks":[]}`)
	}))
	defer srv.Close()
	s.cfg.APIURL, s.cfg.APITokenFile = srv.URL, tempFile(t, "tok3n-tok3n-tok3n", 0o600)
	s.cfg.APICAFile = tempFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})), 0o600)
	c, err := s.newClient()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Networks(t.Context()); err != nil {
		t.Error(err)
	}
}
