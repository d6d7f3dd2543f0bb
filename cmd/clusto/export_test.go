package main

import (
	"database/sql"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	site "github.com/clusto/clusto-engine/clusto/inventory"
)

// TestExport copies an inventory into another, and compares what they export.
func TestExport(t *testing.T) {
	t.Parallel()
	flags, _ := inventories(t)
	text := string(site.Sample(sampleSize/5)) + "  extra: {in: compute, mac: 02:00:00:00:00:01}\n"
	for _, where := range flags {
		export := func(where ...string) string {
			r := runClusto(t, "", append([]string{"export"}, where...)...)
			if r.code != 0 || r.err != "" {
				t.Fatalf("export: %+v", r)
			}
			return r.out
		}
		if r := runClusto(t, text, append([]string{"import", "-"}, where...)...); r.code != 0 {
			t.Fatal(r)
		}
		yaml := export(where...)
		db := filepath.Join(t.TempDir(), "copy.db")
		if r := runClusto(t, yaml, "import", "-", "--db", db); r.code != 0 {
			t.Fatal(r)
		}
		if again := export("--db", db); again != yaml {
			t.Error("the copy's export differs")
		}
		if got, want := export("--db", db, "--json"), export(append(where, "--json")...); idsOut(got) != idsOut(want) {
			t.Errorf("the copy does not hold the same, says --json")
		}
		if n := strings.Count(yaml, "\n  s0"); n != sampleSize/5-1 {
			t.Errorf("%d servers", n)
		}
	}
}

func idsOut(s string) string { return regexp.MustCompile(`,"id":\d+`).ReplaceAllString(s, "") }

func TestImportJSON(t *testing.T) {
	t.Parallel()
	flags, _ := inventories(t)
	for _, where := range flags {
		got := runClusto(t, small, append([]string{"import", "-", "--json"}, where...)...)
		want(t, got, result{"{\n  \"file\": \"stdin\",\n  \"operations\": 19,\n  \"servers\": 1,\n  \"networks\": 1\n}\n", "", 0})
	}
}

// TestRefusedImportLeavesNoDatabase: it left an empty one behind.
func TestRefusedImportLeavesNoDatabase(t *testing.T) {
	t.Parallel()
	const refused = "servers:\n  a: {in: nowhere}\n"
	for _, prefix := range []string{"", "sqlite:///"} {
		dir := t.TempDir()
		r := runClusto(t, refused, "import", "-", "--db", prefix+dir+"/new.db")
		if left, _ := filepath.Glob(dir + "/*"); r.code != exitUsage || len(left) != 0 {
			t.Errorf("%+v, and there is %v", r, left)
		}
		db := dir + "/there.db"
		if r := runClusto(t, small, "import", "-", "--db", prefix+db); r.code != 0 {
			t.Fatal(r)
		}
		before := dump(t, db)
		if r := runClusto(t, refused, "import", "-", "--db", prefix+db); r.code != exitUsage || dump(t, db) != before {
			t.Errorf("a database that was there: %+v", r)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "odd.db")
	if r := runClusto(t, small, "import", "-", "--db", db); r.code != 0 {
		t.Fatal(r)
	}
	direct, err := sql.Open("sqlite", db)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	if _, err := direct.Exec(`UPDATE entities SET name = 'a/b' WHERE name = 'ex0000'`); err != nil {
		t.Fatal(err)
	}
	r := runClusto(t, "", "export", "--db", db)
	if want := `clusto export: entity "/server/a/b": its name has a slash`; r.code != exitFailed || r.out != "" || !strings.HasPrefix(r.err, want) {
		t.Errorf("%+v, want %s...", r, want)
	}
}
