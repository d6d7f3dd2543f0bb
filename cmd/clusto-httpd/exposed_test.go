package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExposed warns in one line that says what to do, and only where others than
// this machine get in.
func TestExposed(t *testing.T) {
	a := newAccess(t)
	for _, tt := range []struct {
		name string
		args []string
		says string // "" for no warning
	}{
		{"the default", nil, ""},
		{"::1", []string{"--listen", "[::1]:0"}, ""},
		{"all addresses", []string{"--listen", ":0"}, "set token_file, tls_cert and tls_key, or listen on 127.0.0.1"},
		{"0.0.0.0", []string{"--listen", "0.0.0.0:0"}, "set token_file, tls_cert and tls_key, or listen on 127.0.0.1"},
		{"no tokens", []string{"--listen", ":0", "--tls-cert", a.cert, "--tls-key", a.key}, "set token_file, or listen on 127.0.0.1"},
		{"no TLS", []string{"--listen", ":0", "--token-file", a.tokens}, "set tls_cert and tls_key, or listen on 127.0.0.1"},
		{"both", a.flags("--listen", ":0"), ""},
	} {
		if tt.name == "::1" && !hasIPv6() {
			continue
		}
		d := start(t, nil, append([]string{"--db", ":memory:"}, tt.args...)...)
		var warnings []string
		for line := range strings.Lines(d.early) {
			if strings.Contains(line, `"WARN"`) {
				warnings = append(warnings, line)
			}
		}
		if tt.says == "" && len(warnings) > 0 || tt.says != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], "EXPOSED") || !strings.Contains(warnings[0], tt.says)) {
			t.Errorf("%s: %q", tt.name, warnings)
		}
		if host, _, _ := net.SplitHostPort(d.addr); tt.args == nil && host != "127.0.0.1" {
			t.Errorf("it listens on %s", host)
		}
		d.end(t, syscall.SIGKILL)
	}
	out, _, _ := run(t, nil, "--check-config")
	if !strings.Contains(out, `"127.0.0.1:9996"`) {
		t.Errorf("it does not listen on loopback by default:\n%s", out)
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// TestAccessThatIsWrong ends the program with 2 and one line that names the file.
func TestAccessThatIsWrong(t *testing.T) {
	a := newAccess(t)
	mode := func(file string, mode os.FileMode) string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		file = write(t, filepath.Base(file), string(text))
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	open, openKey, bad := mode(a.tokens, 0o644), mode(a.key, 0o604), write(t, "bad", "# no\nread\n")
	for _, tt := range []struct {
		name       string
		args, says []string
	}{
		{"no token file", []string{"--token-file", "/nowhere/tokens"}, []string{"token_file", "/nowhere/tokens"}},
		{"a folder", []string{"--token-file", filepath.Dir(a.tokens)}, []string{"token_file", "no file"}},
		{"for all to read", []string{"--token-file", open}, []string{"chmod 640 " + open, "0644"}},
		{"no tokens in it", []string{"--token-file", write(t, "none", "\n")}, []string{"none", "no token"}},
		{"a line", []string{"--token-file", bad}, []string{bad + ":2:", "no token after"}},
		{"no key", []string{"--tls-cert", a.cert}, []string{"--tls-key"}},
		{"no certificate", []string{"--tls-key", a.key}, []string{"--tls-cert"}},
		{"a certificate that is not there", []string{"--tls-cert", "/nowhere/cert", "--tls-key", a.key}, []string{"/nowhere/cert"}},
		{"a key that is not there", []string{"--tls-cert", a.cert, "--tls-key", "/nowhere/key"}, []string{"/nowhere/key"}},
		{"a key for all to read", []string{"--tls-cert", a.cert, "--tls-key", openKey}, []string{"chmod 640 " + openKey}},
		{"the other way round", []string{"--tls-cert", a.key, "--tls-key", a.cert}, []string{a.key, a.cert, "PEM"}},
		{"a text", []string{"--tls-cert", bad, "--tls-key", a.key}, []string{bad, "PEM"}},
		{"no connections", []string{"--max-connections", "0"}, []string{"--max-connections", "want 1"}},
		{"a time", []string{"--request-timeout", "1ms"}, []string{"--request-timeout", "want 1s"}},
	} {
		out, errs, code := run(t, nil, append([]string{"--db", ":memory:", "--listen", "127.0.0.1:0"}, tt.args...)...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: %d %q %q", tt.name, code, out, errs)
		}
		for _, s := range tt.says {
			if !strings.Contains(errs, s) {
				t.Errorf("%s: %q does not say %q", tt.name, errs, s)
			}
		}
	}
}

// TestConnectionLimit: one connection more than may be waits until another ends.
func TestConnectionLimit(t *testing.T) {
	d := start(t, nil, "--db", ":memory:", "--max-connections", "2")
	first, _ := slowBatch(t, d, 100)
	slowBatch(t, d, 100)
	third, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if _, err := third.Write([]byte("GET /readyz HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 12)
	_ = third.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := third.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it is served: %q, %v", got[:n], err)
	}
	first.Close()
	_ = third.SetReadDeadline(time.Time{})
	if n, err := third.Read(got); err != nil || string(got[:n]) != "HTTP/1.0 200" {
		t.Errorf("%q, %v", got[:n], err)
	}
}

// TestFewFiles keeps to what the kernel allows, and says so.
func TestFewFiles(t *testing.T) {
	cmd := command(t, nil, "--db", ":memory:", "--listen", "127.0.0.1:0")
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{"sh", "-c", `ulimit -n 100; exec "$0" "$@"`}, cmd.Args...)
	cmd.Path = sh
	d := begin(t, cmd)
	if !strings.Contains(d.early, `"files":100,"max_connections":1024,"used":36`) {
		t.Errorf("logged:\n%s", d.early)
	}
}
