package fuzz

import (
	"errors"
	"fmt"
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

// neutered finds what keeps a shell script or a workflow from failing where its commands do.
var neutered = regexp.MustCompile(`continue-on-error|\bset \+|\|\| *(true|:)|\bexit 0|\btrap\b|^\s*shell:`)

// runs gives the lines of a shell script, or of a workflow, that are a command in full and not
// within something else: a script's at the margin, a workflow's as the step's only line. An error
// tells why a failing command may pass all the same.
func runs(text string, workflow bool) (all []string, err error) {
	if !workflow && !strings.Contains("\n"+text, "\nset -euo pipefail\n") {
		err = errors.New("it does not begin with set -euo pipefail")
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line, _, _ = strings.Cut(line, " #")
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case neutered.MatchString(line):
			err = errors.Join(err, fmt.Errorf("line %d does not mind a failure: %s", i+1, line))
		case !workflow && line[0] != ' ' && line[0] != '\t':
			all = append(all, line)
		case workflow:
			if run, ok := strings.CutPrefix(line, "      - run: "); ok && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "       ")) {
				all = append(all, run)
			}
		}
	}
	return all, err
}

// commandsOf gives the runs of a file.
func commandsOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := runs(string(text), strings.HasSuffix(file, ".yaml"))
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
	return all
}

// plain are commands whose failure is the line's: nothing but && between them.
func plain(line string) bool {
	return !strings.ContainsAny(strings.ReplaceAll(line, "&&", ""), "|&;!`")
}

// TestCIRunsAll: .ci/run and the long runs leave no target out, and the tests of each module
// that has some try every corpus and every input that once failed; a failure of theirs is one
// of the whole.
func TestCIRunsAll(t *testing.T) {
	ci := commandsOf(t, "../.ci/run")
	for file, all := range map[string][]string{".ci/run": ci, "fuzz.yaml": commandsOf(t, "../.github/workflows/fuzz.yaml")} {
		found := 0
		for _, line := range all {
			if strings.HasPrefix(line, "go run ./fuzz/run") && plain(line) && !strings.Contains(line, "-only") {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s runs all fuzz targets %d times, where a failure counts", file, found)
		}
	}
	for _, target := range Targets() {
		module, _ := target.Module()
		if has := moduleOf(t, target.Dir); has != module {
			t.Errorf("%s is in the module of %s, not %s: go run ./fuzz/run does not find it", target.Dir, has, module)
		}
		tests := func(line string) bool {
			return strings.HasSuffix(line, "&& go test ./...)") && strings.HasPrefix(line, "(cd "+module+" && ") && plain(line)
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

// TestRuns: what is in a comment, or runs only at times, is no command that counts; and what
// lets a failure pass is found.
func TestRuns(t *testing.T) {
	const head, step = "#!/bin/bash\nset -euo pipefail\n", "    steps:\n      - run: go run ./fuzz/run"
	for name, c := range map[string]struct {
		text     string
		workflow bool
		count    int
		minds    bool
	}{
		"a script":                  {head + "go run ./fuzz/run\n", false, 1, true},
		"a comment":                 {head + "# go run ./fuzz/run\n", false, 0, true},
		"under a condition":         {head + "if false; then\n\tgo run ./fuzz/run\nfi\n", false, 0, true},
		"no pipefail":               {"set -e\ngo run ./fuzz/run\n", false, 1, false},
		"pipefail in a comment":     {"# set -euo pipefail\ngo run ./fuzz/run\n", false, 1, false},
		"set +e":                    {head + "set +e\ngo run ./fuzz/run\n", false, 1, false},
		"|| true":                   {head + "go run ./fuzz/run || true\n", false, 0, false},
		"|| :":                      {head + "go run ./fuzz/run || :\n", false, 0, false},
		"|| echo":                   {head + "go run ./fuzz/run || echo\n", false, 0, true},
		"| tee":                     {head + "go run ./fuzz/run | tee x\n", false, 0, true},
		"in the background":         {head + "go run ./fuzz/run &\n", false, 0, true},
		"and then another":          {head + "go run ./fuzz/run; echo\n", false, 0, true},
		"exit before":               {head + "exit 0\ngo run ./fuzz/run\n", false, 1, false},
		"a workflow":                {step + "\n", true, 1, true},
		"a workflow's comment":      {"    steps:\n#      - run: go run ./fuzz/run\n", true, 0, true},
		"a step with a condition":   {step + "\n        if: never\n", true, 0, true},
		"continue-on-error":         {step + "\n        continue-on-error: true\n", true, 0, false},
		"continue-on-error for all": {"    continue-on-error: true\n" + step + "\n", true, 1, false},
		"a workflow's | tee":        {step + " | tee x\n", true, 0, true},
		"a workflow's || :":         {step + " || :\n", true, 0, false},
	} {
		all, err := runs(c.text, c.workflow)
		all = slices.DeleteFunc(all, func(line string) bool { return !strings.HasPrefix(line, "go run") || !plain(line) })
		if len(all) != c.count || (err == nil) != c.minds {
			t.Errorf("%s: %q, %v", name, all, err)
		}
	}
}
