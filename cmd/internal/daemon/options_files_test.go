package daemon

import (
	"os"
	"strings"
	"testing"
)

// TestCheckConfigLooksAtFiles: clusto-dhcpd's and clusto-httpd's --check-config
// passed what both refuse when they start, and a cache file that is never saved.
func TestCheckConfigLooksAtFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, "token", "read a b")
	put(t, "empty", "# none\n")
	put(t, "folder/file", "")
	if err := os.Symlink("token/hosts", "link"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ section, setting, want string }{
		{"dhcp", `"api_token_file": "gone"`, "api_token_file: stat gone: no such file or directory; name a file with a token"},
		{"dhcp", `"api_token_file": "token"`, "api_token_file: token:1: this is no token; "},
		{"dhcp", `"api_ca_file": "token"`, "api_ca_file: read the certificates to trust: token has none in PEM"},
		{"dhcp", `"cache_file": "folder"`, "cache_file: folder is a folder; name a file in it, as in --cache-file folder/clusto-dhcpd.hosts"},
		{"dhcp", `"cache_file": "/dev/null"`, "cache_file: /dev/null is no regular file"},
		{"dhcp", `"cache_file": "token/hosts"`, "cache_file: nothing can be written to token: not a directory; "},
		{"dhcp", `"cache_file": "token/a/hosts"`, "cache_file: nothing can be written to token/a: not a directory; "},
		{"dhcp", `"cache_file": "link"`, "cache_file: nothing can be written to token: not a directory; "},
		{"http", `"token_file": "gone"`, "token_file: stat gone: no such file or directory; name a file with tokens"},
		{"http", `"token_file": "empty"`, "token_file: empty: it has no token"},
		{"http", `"tls_cert": "empty", "tls_key": "gone"`, "tls_key: stat gone: no such file or directory; "},
		{"http", `"tls_cert": "gone", "tls_key": "empty"`, "tls_cert: open gone: no such file or directory; "},
		{"http", `"tls_cert": "empty", "tls_key": "empty"`, "tls_cert: empty and empty are no certificate and its key in PEM: "},
	} {
		into := map[string]any{"dhcp": new(DHCP), "http": new(HTTPD)}[test.section]
		out, code, line := load(t, test.section, into, `{"`+test.section+`": {`+test.setting+`}}`, "--check-config")
		if code != 2 || out != "" || !strings.HasPrefix(line, "prog: services.conf:1: "+test.section+"."+test.want) || strings.Contains(line, "\n") {
			t.Errorf("%s: exit %d, printed %q\ngot\n%s\nwant\n%s", test.setting, code, out, line, test.want)
		}
	}
	for _, setting := range []string{`"cache_file": ""`, `"cache_file": "hosts"`, `"cache_file": "folder/new/hosts"`} {
		if out, code, line := load(t, "dhcp", new(DHCP), `{"dhcp": {`+setting+`}}`, "--check-config"); code != 0 || out == "" {
			t.Errorf("%s: exit %d: %s", setting, code, line)
		}
	}
}
