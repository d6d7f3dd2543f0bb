package fuzz

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"
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
			if fn, ok := d.(*ast.FuncDecl); ok && isTarget(fn) {
				all = append(all, path.Dir(name)+" "+fn.Name.Name)
			}
		}
		return nil
	})
	slices.Sort(all)
	return all, err
}

// isTarget reports whether go test -fuzz runs a function: FuzzName(f *testing.F).
func isTarget(fn *ast.FuncDecl) bool {
	name, ok := strings.CutPrefix(fn.Name.Name, "Fuzz")
	if first, _ := utf8.DecodeRuneInString(name); !ok || unicode.IsLower(first) || fn.Recv != nil || fn.Type.Params.NumFields() != 1 {
		return false
	}
	ptr, _ := fn.Type.Params.List[0].Type.(*ast.StarExpr)
	if ptr == nil {
		return false
	}
	typ, _ := ptr.X.(*ast.SelectorExpr)
	return typ != nil && typ.Sel.Name == "F"
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
// and none in a string, a method, what is no target or what is no test.
func TestCensusFinds(t *testing.T) {
	const f = "(f *testing.F) {}\n"
	got, err := fuzzFunctions(fstest.MapFS{
		"a/x_linux_test.go":       {Data: []byte("//go:build never\npackage a\nfunc FuzzA" + f + "func TestA() {}\n")},
		"b/go.mod":                {Data: []byte("module b\n")},
		"b/c/x_test.go":           {Data: []byte("package c_test\nconst s = `\nfunc FuzzNo" + f + "`\nfunc Fuzz" + f + "func (t) FuzzNo" + f)},
		"b/c/y_test.go":           {Data: []byte("package c\nfunc Fuzzy" + f + "func FuzzNo(t *testing.T) {}\nfunc FuzzNeither() {}\n// func FuzzNo" + f)},
		"b/c/x.go":                {Data: []byte("package c\nfunc FuzzNo" + f)},
		"b/testdata/x_test.go":    {Data: []byte("package c\nfunc FuzzNo" + f)},
		".git/objects/xx_test.go": {Data: []byte("?")},
	})
	if want := []string{"a FuzzA", "b/c Fuzz"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// commands gives the commands of a shell script or of a workflow's steps, without comments.
func commands(text string) (all []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
		if line = strings.TrimPrefix(line, "run: "); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

func commandsOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return commands(string(text))
}

// TestCIRunsAll: .ci/run and the long runs leave no target out, and the tests of each module
// that has some try every corpus and every input that once failed.
func TestCIRunsAll(t *testing.T) {
	ci := commandsOf(t, "../.ci/run")
	for file, all := range map[string][]string{".ci/run": ci, "fuzz.yaml": commandsOf(t, "../.github/workflows/fuzz.yaml")} {
		runs := 0
		for _, line := range all {
			if !strings.HasPrefix(line, "go run ./fuzz/run") {
				continue
			}
			if runs++; strings.Contains(line, "--only") || strings.Contains(line, "|| true") {
				t.Errorf("%s runs some targets only, or does not mind: %s", file, line)
			}
		}
		if runs != 1 {
			t.Errorf("%s runs the fuzz targets %d times", file, runs)
		}
	}
	for _, target := range Targets() {
		module, _ := target.Module()
		if has := moduleOf(t, target.Dir); has != module {
			t.Errorf("%s is in the module of %s, not %s: go run ./fuzz/run does not find it", target.Dir, has, module)
		}
		tests := func(line string) bool {
			return strings.HasSuffix(line, "&& go test ./...)") && strings.HasPrefix(line, "(cd "+module+" && ")
		}
		if !slices.ContainsFunc(ci, tests) && (module != "." || !slices.Contains(ci, "go test ./...")) {
			t.Errorf(".ci/run does not run the tests of %s", module)
		}
	}
}

// moduleOf gives the folder of the module that a folder is in.
func moduleOf(t *testing.T, dir string) string {
	t.Helper()
	for {
		if _, err := os.Stat(path.Join("..", dir, "go.mod")); err == nil {
			return dir
		}
		if dir == "." {
			t.Fatal("no go.mod")
		}
		dir = path.Dir(dir)
	}
}

// TestCommands: what is in a comment is no command.
func TestCommands(t *testing.T) {
	got := commands("#!/bin/sh\n\tgo a\n# go run ./fuzz/run\n      - run: go b\n      - if: always()\n        run: go c\n")
	if want := []string{"go a", "go b", "if: always()", "go c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
