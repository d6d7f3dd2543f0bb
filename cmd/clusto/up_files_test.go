package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpCheckConfigLooksAtFiles: what clusto up refuses when it starts,
// --check-config passed. Files of the daemons apart mean nothing here.
func TestUpCheckConfigLooksAtFiles(t *testing.T) {
	_, cert, key := upAccess(t)
	certText, _ := upCertificate(t, 2)
	other := write(t, "other.pem", certText)
	apart := write(t, "services.conf", `{"dhcp": {"api_token_file": "/nowhere", "api_ca_file": "/nowhere", "cache_file": "/dev/null"}, "snmp": {"api_token_file": "/nowhere"}}`)
	folder := t.TempDir()
	db := filepath.Join(folder, "db")
	if err := os.Mkdir(db+".traps", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string // "": nothing is wrong
	}{
		{[]string{"--inventory", "/nowhere.yaml"}, "--inventory: open /nowhere.yaml: no such file or directory; give the file"},
		{[]string{"--inventory", write(t, "bad.yaml", "servers:\n  a: {mac: nonsense}\n")}, "bad.yaml:2: "},
		{[]string{"--token-file", "/nowhere"}, "--token-file: stat /nowhere: no such file or directory; name a file with tokens"},
		{[]string{"--tls-cert", cert, "--tls-key", "/nowhere"}, "--tls-key: stat /nowhere: no such file or directory; name the file with the key"},
		{[]string{"--tls-cert", other, "--tls-key", key}, "--tls-cert: " + other + " and " + key + " are no certificate and its key"},
		{[]string{"--traps-journal", folder}, "--traps-journal: " + folder + " is no file"},
		{[]string{"--db", db}, db + ".traps is no file"},
		{[]string{"--traps-rack-layouts", "/nowhere"}, "--traps-rack-layouts: load rack layouts: open /nowhere: no such file"},
		{[]string{"--no-traps", "--traps-journal", folder}, ""},
		{[]string{"--config", apart}, ""},
		{[]string{"--tls-cert", cert, "--tls-key", key, "--inventory", write(t, "site.yaml", seed)}, ""},
	} {
		r := runClusto(t, "", append([]string{"up", "--check-config"}, c.args...)...)
		switch {
		case c.want == "" && (r.code != 0 || r.err != "" || !strings.Contains(r.out, "http.tls_cert ")):
			t.Errorf("%v: %+v", c.args, r)
		case c.want != "" && (r.code != exitUsage || r.out != "" || !strings.Contains(r.err, c.want) || strings.Count(r.err, "\n") != 1):
			t.Errorf("%v: %+v; want %q", c.args, r, c.want)
		}
	}
}

// TestCacheFolderOfAnother: --check-config passed a cache file that the user may
// not write. The default is for the daemon's user.
func TestCacheFolderOfAnother(t *testing.T) {
	dir := forEveryone(t)
	program := filepath.Join(dir, "clusto-dhcpd")
	copyFile(t, "/proc/self/exe", program)
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"/var/lib/clusto/clusto-dhcpd.hosts": "",
		locked + "/new/hosts":                "clusto-dhcpd: --cache-file: nothing can be written to " + locked + ": permission denied; become the user that the daemon has",
	} {
		if code, said := checkAsNobody(t, program, "--cache-file", file); (code == 0) != (want == "") || !strings.HasPrefix(said, want) || want == "" && said != "" {
			t.Errorf("%s: code %d: %s; want %q", file, code, said, want)
		}
	}
}

// checkAsNobody has another user than root check settings. said is standard error.
func checkAsNobody(t *testing.T, program string, args ...string) (code int, said string) {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, append([]string{"--check-config"}, args...)...)
	cmd.Env = []string{asProgram + "=1", "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + filepath.Dir(program)}
	cmd.Stderr = &errs
	asNobody(t, cmd)
	_ = cmd.Run() // the code tells
	return cmd.ProcessState.ExitCode(), errs.String()
}
