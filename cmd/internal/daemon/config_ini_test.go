package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDSN(t *testing.T) {
	for _, test := range []struct{ name, conf, want string }{
		{"as clusto writes it", "[clusto]\ndsn = sqlite:////var/lib/clusto.db\n", "sqlite:////var/lib/clusto.db"},
		{"with a colon", "[clusto]\ndsn: postgresql://u:p@db/clusto\n", "postgresql://u:p@db/clusto"},
		{"capitals, CRLF, comments", "# old = 1\r\n[clusto]\r\n; dsn = no\r\nDSN=sqlite:///x ; where it is\r\n", "sqlite:///x"},
		{"other sections, lines that go on", "[other]\ndsn = no\n[clusto]\nplugins = a,\n  b\n\nloglevel:\n  x = 1\ndsn = yes\n[more]\ndsn = no\n", "yes"},
		{"the default section", "[DEFAULT]\ndsn = sqlite:///d\n[clusto]\n", "sqlite:///d"},
		{"the last counts", "[clusto]\ndsn = a\ndsn = b\n", "b"},
		{"a percent sign", "[clusto]\ndsn = postgresql://u:p%%40@db/c\n", "postgresql://u:p%40@db/c"},
		{"two percent signs and a bracket", "[clusto]\ndsn = a%%(b\n", "a%(b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := iniDSN("clusto.conf", test.conf)
			if err != nil || got.value != test.want {
				t.Errorf("got %v, %v; want %s", got.value, err, test.want)
			}
		})
	}
}

func TestDSNErrors(t *testing.T) {
	for _, test := range []struct{ name, conf, want string }{
		{"none", "[clusto]\nplugins = a\n", `clusto.conf: [clusto] has no dsn; write one, or give --db`},
		{"in an included file", "[clusto]\ninclude = conf.d/*\n", `clusto.conf: [clusto] has no dsn, and its include is not followed; give --db`},
		{"a reference", "[clusto]\ndsn = sqlite:///%(here)s/c.db\n", `clusto.conf:2: dsn has a reference %(...)s, which is not followed here; write the value out, or give --db`},
		{"two lines", "[clusto]\ndsn = sqlite:///\n  x.db\n", `clusto.conf:3: [clusto] dsn goes on over two lines; write it on one`},
		{"empty", "[clusto]\ndsn =\n", `clusto.conf:2: dsn is empty; write one, as in sqlite:////var/lib/clusto/clusto.db, or give --db`},
		{"no INI", "[clusto]\nsqlite\n", `clusto.conf:2: want a [section], or key = value, got "sqlite"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := iniDSN("clusto.conf", test.conf); err == nil || err.Error() != test.want {
				t.Errorf("got %v, %v\nwant %s", got.value, err, test.want)
			}
		})
	}
}

// The database comes from the first that has it: --db, http.db, CLUSTODSN, the
// file of CLUSTOCONFIG.
func TestHTTPD(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "clusto.conf")
	if err := os.WriteFile(ini, []byte("\n[clusto]\ndsn = postgresql://clusto:secret@db/ini\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const conf = `{"http": {"db": "file", "read_only_get": true}}`
	for _, test := range []struct{ name, conf, env, ini, args, db, from string }{
		{"flag", conf, "env", ini, "--db flag", "flag", "--db"},
		{"services.conf", conf, "env", ini, "", "file", "services.conf:1"},
		{"environment", "", "env", ini, "", "env", "$CLUSTODSN"},
		{"clusto.conf", "", "", ini, "", "postgresql://clusto:secret@db/ini", ini + ":3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CLUSTODSN", test.env)
			t.Setenv("CLUSTOCONFIG", test.ini)
			var h HTTPD
			args := strings.Fields(test.args)
			if _, code, line := load(t, "http", &h, test.conf, args...); code != -1 || h.DB != test.db || h.ReadOnlyGet != (test.conf != "") {
				t.Errorf("exit %d %q: %+v, want %s", code, line, h, test.db)
			}
			out, code, line := load(t, "http", new(HTTPD), test.conf, append(args, "--check-config")...)
			first, _, _ := strings.Cut(out, "\n")
			if code != 0 || !strings.HasSuffix(first, "  "+test.from) || strings.Contains(out, "secret") {
				t.Errorf("exit %d %q printed\n%s\nwant %s, and no password", code, line, out, test.from)
			}
		})
	}
}

func TestHTTPDErrors(t *testing.T) {
	t.Setenv("CLUSTODSN", "")
	for _, test := range []struct{ name, conf, ini, args, want string }{
		{"no database", "", "", "", "prog: --db (http.db in services.conf): no database; give --db, as in --db sqlite:////var/lib/clusto/clusto.db, or write [clusto] dsn into /etc/clusto/clusto.conf"},
		{"no such clusto.conf", "", "/nowhere/clusto.conf", "", "prog: read clusto's configuration: open /nowhere/clusto.conf: no such file or directory; CLUSTOCONFIG names it, --db does without"},
		{"listen", `{"http": {"listen": "localhost"}}`, "", "--db x", `prog: services.conf:1: http.listen: "localhost" is no address to listen on; write HOST:PORT, as in 127.0.0.1:9996`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CLUSTOCONFIG", test.ini)
			if _, err := os.Stat(clustoConf); err == nil && test.ini == "" {
				if os.Getenv("CI") != "" {
					t.Fatal("NOT TESTED: this machine has a clusto.conf")
				}
				t.Skip("NOT TESTED: this machine has a clusto.conf")
			}
			if _, code, line := load(t, "http", new(HTTPD), test.conf, strings.Fields(test.args)...); code != 2 || line != test.want {
				t.Errorf("exit %d\ngot  %s\nwant %s", code, line, test.want)
			}
		})
	}
}
