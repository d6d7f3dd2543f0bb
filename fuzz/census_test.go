package fuzz

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// fuzzFunctions finds every Fuzz function in the tests below a folder, whatever
// the platform, as "codec/dhcp4 FuzzIndex".
func fuzzFunctions(fsys fs.FS) (all []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, "_test.go"):
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				all = append(all, path.Dir(name)+" "+fn.Name.Name)
			}
		}
		return nil
	})
	slices.Sort(all)
	return all, err
}

// TestCensus: targets.tsv, which .ci/run goes by, has every Fuzz function of the
// project, and no other.
func TestCensus(t *testing.T) {
	found, err := fuzzFunctions(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for i, target := range Targets() {
		listed = append(listed, target.Dir+" "+target.Name)
		if strings.TrimSpace(target.About) == "" {
			t.Errorf("targets.tsv does not say what %s holds", target.Name)
		}
		if all := Targets(); i > 0 && all[i-1].Dir != target.Dir && slices.ContainsFunc(all[:i], func(o Target) bool { return o.Dir == target.Dir }) {
			t.Errorf("targets.tsv: %s is apart from the others of its package", target.Name)
		}
	}
	for _, name := range found {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not in fuzz/targets.tsv: CI does not run it", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(found, name) {
			t.Errorf("fuzz/targets.tsv lists %s, which is not there", name)
		}
	}
}

// TestCensusFinds: the census sees a function in any module and for any platform,
// and none in a string, a method or what is no test.
func TestCensusFinds(t *testing.T) {
	got, err := fuzzFunctions(fstest.MapFS{
		"a/x_linux_test.go":       {Data: []byte("//go:build never\npackage a\nfunc FuzzA() {}\nfunc TestA() {}\n")},
		"b/go.mod":                {Data: []byte("module b\n")},
		"b/c/x_test.go":           {Data: []byte("package c_test\nconst s = `\nfunc FuzzNo()`\nfunc FuzzB() {}\nfunc (t) FuzzNo() {}\n")},
		"b/c/x.go":                {Data: []byte("package c\nfunc FuzzNo() {}\n")},
		"b/testdata/x_test.go":    {Data: []byte("package c\nfunc FuzzNo() {}\n")},
		".git/objects/xx_test.go": {Data: []byte("?")},
	})
	if want := []string{"a FuzzA", "b/c FuzzB"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// TestCIRunsAll: .ci/run and the long runs leave no target out, and the tests
// beside them run every corpus.
func TestCIRunsAll(t *testing.T) {
	for file, want := range map[string]string{
		"../.ci/run":                     `(?m)^go run ./fuzz/run$`,
		"../.github/workflows/fuzz.yaml": `go run ./fuzz/run --time`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s does not run all fuzz targets: no %s", file, want)
		}
		if regexp.MustCompile(`fuzz/run.*--only`).Match(text) {
			t.Errorf("%s runs some targets only", file)
		}
	}
}
