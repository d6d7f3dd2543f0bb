package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	site "github.com/clusto/clusto-engine/clusto/inventory"
)

func TestImportTwice(t *testing.T) {
	t.Parallel()
	text := site.Sample(sampleSize)
	file := write(t, "site.yaml", string(text))
	s, err := site.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%s: %s; %s, %s in ", file, count(len(s.Ops()), "operation"), count(sampleSize, "server"), count(len(s.Networks()), "network"))
	flags, dbs := inventories(t)
	for i, where := range flags {
		run := func() result { return runClusto(t, "", append([]string{"import", file}, where...)...) }
		want(t, run(), result{line + where[1] + "\n", "", 0})
		before := dump(t, dbs[i])
		if n := strings.Count(before, "|basicserver|"); n != sampleSize {
			t.Errorf("%d servers in the database, want %d", n, sampleSize)
		}
		want(t, run(), result{line + where[1] + "\n", "", 0})
		if dump(t, dbs[i]) != before {
			t.Errorf("%s: the second import changed something", where[0])
		}
	}
}

func TestImportStdin(t *testing.T) {
	t.Parallel()
	flags, _ := inventories(t)
	for _, where := range flags {
		got := runClusto(t, small, append([]string{"import", "-"}, where...)...)
		want(t, got, result{"stdin: 19 operations; 1 server, 1 network in " + where[1] + "\n", "", 0})
	}
}

func TestImportBadFile(t *testing.T) {
	t.Parallel()
	file := write(t, "bad.yaml", "servers:\n  a: {macs: 1}\n  b: {mac: zz}\n  c: {ip: 1.2.3.4.5}\n")
	db := filepath.Join(t.TempDir(), "new.db")
	lines := fmt.Sprintf(`%[1]s:2: server a: unknown key "macs": did you mean "mac"?
%[1]s:3: server b: port-nic-eth/mac number 1: "zz" is no MAC; want six bytes in hex, as in 00:11:22:33:44:55
%[1]s:4: server c: ip: "1.2.3.4.5" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50
`, file)
	want(t, runClusto(t, "", "import", file, "--db", db), result{"", lines, exitUsage})
	if _, err := os.Stat(db); err == nil {
		t.Error("a bad file made a database")
	}
}

// TestImportRefused: what stands before the operation that is refused is not
// written either.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	good := write(t, "site.yaml", small)
	flags, dbs := inventories(t)
	for i, where := range flags {
		if r := runClusto(t, "", append([]string{"import", good}, where...)...); r.code != 0 {
			t.Fatalf("import: %+v", r)
		}
		before := dump(t, dbs[i])
		for _, c := range []struct {
			name, text, place string
			says              []string
		}{
			{
				"conflict", strings.ReplaceAll(small, "ex0000", "ex0001"), "12: server ex0001: ",
				[]string{"MAC 00:11:22:33:44:55", "already on /server/ex0000", "change the file, or what clusto holds"},
			},
			{"unknown container", "servers:\n  a:\n  q: {in: nowhere}\n", "3: server q: ", []string{`"nowhere"`, "declare it"}},
			{"unknown driver", "servers:\n  a:\n  q: {driver: baasicserver}\n", "3: server q: ", []string{`did you mean "basicserver"?`, "correct it"}},
		} {
			file := write(t, "other.yaml", c.text)
			r := runClusto(t, "", append([]string{"import", file}, where...)...)
			if r.code != exitUsage || r.out != "" || !strings.HasPrefix(r.err, file+":"+c.place) || strings.Count(r.err, "\n") != 1 {
				t.Errorf("%s: %+v, want one line that begins with FILE:%s and code %d", c.name, r, c.place, exitUsage)
			}
			for _, part := range append(c.says, "nothing was imported") {
				if !strings.Contains(r.err, part) {
					t.Errorf("%s: %q says nothing of %q", c.name, r.err, part)
				}
			}
			if dump(t, dbs[i]) != before {
				t.Errorf("%s, %s: something was written", c.name, where[0])
			}
		}
	}
}

func TestImportWithoutInventory(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	rude := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer rude.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	text := write(t, "text.db", "this is no database")
	for _, c := range []struct {
		name        string
		flags       []string
		says, never string
		code        int
	}{
		{"nobody listens", []string{"--api-url", gone.URL}, "start clusto-httpd there, or give --api-url or --db", "import again", exitFailed},
		{"no answer", []string{"--api-url", rude.URL}, "to be sure, import again", "makes no sense", exitFailed},
		{"another server", []string{"--api-url", other.URL}, "check the API URL", "404 page", exitFailed},
		{"no folder", []string{"--db", "/nowhere/x.db"}, `there is no folder "/nowhere"`, "import again", exitUsage},
		{"no database", []string{"--db", text}, "this is no SQLite database", "import again", exitUsage},
	} {
		r := runClusto(t, small, append([]string{"import", "-"}, c.flags...)...)
		if r.code != c.code || r.out != "" || !strings.Contains(r.err, c.says) || strings.Contains(r.err, c.never) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: %+v; want code %d and %q", c.name, r, c.code, c.says)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 servers", 1: "1 server", 999: "999 servers", 1000: "1,000 servers", 1234567: "1,234,567 servers"} {
		if got := count(n, "server"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
