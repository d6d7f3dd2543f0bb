package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/engine/netlab"
)

// asProgram makes the test binary the program itself.
const asProgram = "CLUSTO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if os.Args[len(os.Args)-1] == demoOfGopacket {
			os.Exit(demoWithGopacket())
		}
		main()
	}
	netlab.Main(m.Run)
}

// result is what a run of the program left.
type result struct {
	out, err string
	code     int
}

// runClusto runs the program with input as its standard input.
func runClusto(t *testing.T, input string, args ...string) (r result) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0") // else a second each
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	_ = cmd.Run() // the code tells
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func want(t *testing.T, got, want result) {
	t.Helper()
	if got != want {
		t.Errorf("code %d, stdout:\n%s\nstderr:\n%s\nwant code %d, stdout:\n%s\nstderr:\n%s", got.code, got.out, got.err, want.code, want.out, want.err)
	}
}

// write puts a file into a folder of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func openStore(t *testing.T, file string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// inventories gives the flags of a database, and those of an API that serves
// another; files are the two databases.
func inventories(t *testing.T) (flags [][]string, files []string) {
	t.Helper()
	for _, name := range []string{"direct.db", "served.db"} {
		files = append(files, filepath.Join(t.TempDir(), name))
	}
	openStore(t, files[0])
	api := httptest.NewServer(httpd.New(httpd.Config{Store: openStore(t, files[1])}))
	t.Cleanup(api.Close)
	return [][]string{{"--db", files[0]}, {"--api-url", api.URL}}, files
}

// dump writes out every row of a SQLite database.
func dump(t *testing.T, file string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b strings.Builder
	for _, table := range rows(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`) {
		fmt.Fprintln(&b, table, rows(t, db, `SELECT * FROM "`+table+`" ORDER BY rowid`))
	}
	return b.String()
}

func rows(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	r, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	names, _ := r.Columns()
	for r.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := r.Scan(into...); err != nil {
			t.Fatal(err)
		}
		words := make([]string, len(names))
		for i, c := range cells {
			words[i] = c.String
		}
		all = append(all, strings.Join(words, "|"))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestHelp(t *testing.T) {
	full := runClusto(t, "")
	if full.code != 0 || full.err != "" || !strings.Contains(full.out, "Usage: clusto COMMAND") {
		t.Errorf("clusto alone: %+v", full)
	}
	for _, c := range commands {
		if !strings.Contains(full.out, "  "+c.name+" ") || !strings.Contains(full.out, c.about) {
			t.Errorf("help says nothing of %s", c.name)
		}
		own := runClusto(t, "", "help", c.name)
		if own.code != 0 || !strings.Contains(own.out, "Usage: clusto "+c.name) {
			t.Errorf("help of %s: %+v", c.name, own)
		}
		want(t, runClusto(t, "", c.name, "--help"), own)
	}
	for _, word := range []string{"help", "--help", "-h"} {
		want(t, runClusto(t, "", word), full)
	}
}

func TestVersion(t *testing.T) {
	if r := runClusto(t, "", "--version"); r.code != 0 || !strings.HasPrefix(r.out, "clusto ") || strings.Count(r.out, "\n") != 1 {
		t.Errorf("--version: %+v", r)
	}
}

func TestBadUse(t *testing.T) {
	for _, c := range []struct {
		args []string
		line string
	}{
		{[]string{"shwo", "x"}, `clusto: unknown command "shwo": did you mean "show"?`},
		{[]string{"help", "imprt"}, `clusto: unknown command "imprt": did you mean "import"?`},
		{[]string{"import"}, `clusto import: expected "<site>"; --help lists the flags`},
		{[]string{"show"}, `clusto show: expected "<what>"; --help lists the flags`},
		{[]string{"show", "a", "b"}, `clusto show: unexpected argument b; --help lists the flags`},
		{[]string{"show", "a", "--jsno"}, `clusto show: unknown flag --jsno, did you mean "--json"?; --help lists the flags`},
		{[]string{"show", "a", "--db=x", "--api-url=http://x"}, `clusto show: --db and --api-url can't be used together; --help lists the flags`},
		{[]string{"show", "a", "--db="}, `clusto show: open database: no data source given (a file, sqlite:///FILE or postgresql://HOST/NAME)`},
		{[]string{"show", "a", "--db=mysql://u:secret@h/n"}, `clusto show: open database "mysql://u:xxxxx@h/n": unknown kind "mysql"; use a file, sqlite:///FILE or postgresql://HOST/NAME`},
		{[]string{"show", "a", "--api-url=http://x/"}, `clusto show: --api-url: API URL "http://x/" ends with a slash: write "http://x"`},
		{[]string{"import", "/nowhere.yaml"}, `clusto import: open /nowhere.yaml: no such file or directory; give the file that the site is written in, or - for standard input`},
	} {
		want(t, runClusto(t, "", c.args...), result{"", c.line + "\n", exitUsage})
	}
}

// TestNoCapturesAsDaemon: as clusto-snmptrapd the program says who reads them.
func TestNoCapturesAsDaemon(t *testing.T) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], "--replay", "x.pcap")
	cmd.Args[0] = "clusto-snmptrapd"
	cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), &errs
	_ = cmd.Run() // the code tells
	if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(errs.String(), "have the program clusto-snmptrapd itself read the capture") {
		t.Errorf("code %d: %s", code, errs.String())
	}
}
