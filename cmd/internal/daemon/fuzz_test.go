package daemon

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzServicesConf: whatever is in services.conf and clusto.conf, a program gets
// its settings, or ends with 2 and one line that says where.
func FuzzServicesConf(f *testing.F) {
	for _, conf := range []string{
		full, `{"http": {"db": "x", "max_body": 1e99}}`, `{"snmp": {"communities": [1], "mac_prefixes": "00:1e"}}`, `{"dhcp": {"workers": 1.5}}`,
		`{"dhcp": []}`, `{"dhcp": {"cache_ttl": -1, "max_stale": "1y"}}`, `{"dhcp": {}, "dhcp": {}}`, `{"DHCP": {"api_ulr": null}}`, "[", "", "null",
		`{"dhcp": {"extra_options": {"256": "x", "1": "y"}, "interfaces": [["a"]]}}`,
	} {
		for section := range byte(3) {
			f.Add(conf, "[clusto]\ndsn = sqlite:///x\n", section)
		}
	}
	f.Add("{}", "[DEFAULT]\ndsn: %(here)s\n[clusto]\ninclude = x\n  y\n", byte(2))
	dir := corpus.Folder(f)
	f.Fuzz(func(t *testing.T, conf, ini string, section byte) {
		if got, err := iniDSN("clusto.conf", ini); err == nil && got.value == "" || err != nil && !strings.HasPrefix(err.Error(), "clusto.conf") {
			t.Errorf("%+v, %v", got, err)
		}
		file := filepath.Join(dir, "services.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		name := []string{"dhcp", "snmp", "http"}[section%3]
		into := map[string]any{"dhcp": new(DHCP), "snmp": new(SNMP), "http": new(HTTPD)}[name]
		err := ParseFlags(Program{Name: "prog", Section: name, Files: []string{file}, Stdout: io.Discard}, []string{"--check-config"}, into)
		exit := (*Exit)(nil)
		if !errors.As(err, &exit) {
			t.Fatalf("--check-config ended with %v", err)
		}
		if exit.Code != 0 && (exit.Code != 2 || !strings.HasPrefix(exit.Line, "prog: ") || strings.Contains(exit.Line, "\n")) || exit.Code == 0 && exit.Line != "" {
			t.Errorf("%d, %q", exit.Code, exit.Line)
		}
	})
}
