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

	"go.yaml.in/yaml/v3"
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

// What runs all fuzz targets: nothing else has their time and their limit.
const (
	briefly = "go run ./fuzz/run"
	longer  = `go run ./fuzz/run --time "$TIME" --jobs 2 --cache ~/fuzz-corpus --table fuzz-table.md`
	nights  = "../.github/workflows/fuzz.yaml"
)

// TestCIRunsAll: .ci/run and the long runs leave no target out, and the tests of each module
// that has some try every corpus and every input that once failed; a failure of theirs is one
// of the whole.
func TestCIRunsAll(t *testing.T) {
	ci := commandsOf(t, "../.ci/run")
	if !slices.Contains(ci, briefly) {
		t.Errorf(".ci/run does not have %q, where a failure counts", briefly)
	}
	if !slices.Contains(commandsOf(t, nights), longer) {
		t.Errorf("%s does not have %q, where a failure counts", nights, longer)
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

// nightly is what the workflow of the long runs has beside its commands.
type nightly struct {
	On   struct{ Schedule []struct{ Cron string } }
	Jobs map[string]struct {
		If    string
		Env   map[string]string
		Steps []nightlyStep
	}
}

type nightlyStep struct {
	If, Run, Uses string
	With          map[string]string
}

// everyNight tells what keeps a workflow from running all targets every night, for ten minutes each, or
// what they cover from night to night.
func everyNight(text []byte) error {
	var w nightly
	if err := yaml.Unmarshal(text, &w); err != nil {
		return err
	}
	if len(w.On.Schedule) == 0 || w.On.Schedule[0].Cron == "" {
		return errors.New("it has no schedule")
	}
	for _, job := range w.Jobs {
		at := slices.IndexFunc(job.Steps, func(s nightlyStep) bool { return s.Run == longer })
		if at < 0 {
			continue
		}
		if job.If != "" || job.Env["TIME"] != "${{ inputs.time || '10m' }}" {
			return fmt.Errorf("its job runs if %q, for %q", job.If, job.Env["TIME"])
		}
		return keptFrom(job.Steps[:at], job.Steps[at+1:])
	}
	return errors.New("no job runs all targets")
}

// keptFrom: the steps before restore what was covered, and those behind save it, whatever came of the run.
func keptFrom(before, behind []nightlyStep) error {
	action := func(all []nightlyStep, name string) (s nightlyStep) {
		if i := slices.IndexFunc(all, func(s nightlyStep) bool { return strings.HasPrefix(s.Uses, name+"@") }); i >= 0 {
			s = all[i]
		}
		return s
	}
	restore, save := action(before, "actions/cache/restore"), action(behind, "actions/cache/save")
	path, key, older := save.With["path"], save.With["key"], restore.With["restore-keys"]
	switch {
	case restore.Uses == "" || restore.If != "":
		return errors.New("what was covered is not restored")
	case save.Uses == "" || save.If != "always()":
		return errors.New("what is covered is not always saved")
	case path == "" || path != restore.With["path"] || !strings.Contains(longer, " --cache "+path+" "):
		return fmt.Errorf("%q is saved, and %q restored", path, restore.With["path"])
	case older == "" || !strings.HasPrefix(key, older) || !strings.Contains(key, "github.run_id"):
		return fmt.Errorf("it is saved as %q, and looked for as %q", key, older)
	}
	return nil
}

// TestNights: the long runs come every night; what keeps them from it is noticed.
func TestNights(t *testing.T) {
	b, err := os.ReadFile(nights)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if err := everyNight(b); err != nil {
		t.Errorf("%s: %v", nights, err)
	}
	for _, c := range []struct{ name, from, to string }{
		{"no schedule", "  schedule:\n    - cron: \"17 1 * * *\"\n", ""},
		{"no cron", "\n    - cron: \"17 1 * * *\"", ""},
		{"a job with a condition", "    runs-on:", "    if: github.event_name == 'push'\n    runs-on:"},
		{"a job that never runs", "    runs-on:", "    if: false\n    runs-on:"},
		{"a moment", "'10m'", "'1ms'"},
		{"a limit", "--jobs 2", "--jobs 2 --limit 1h"},
		{"another time", "\"$TIME\"", "1ms"},
		{"nothing restored", "actions/cache/restore", "actions/cache"},
		{"restored at times", "      - uses: actions/cache/restore", "      - if: never\n        uses: actions/cache/restore"},
		{"restored from nothing", "          restore-keys: fuzz-corpus-\n", ""},
		{"restored from elsewhere", "restore-keys: fuzz-corpus-", "restore-keys: corpus-"},
		{"another folder restored", "path: ~/fuzz-corpus\n          key: fuzz-corpus-${{ github.run_id }}-${{ github.run_attempt }}\n          restore", "path: ~/corpus\n          restore"},
		{"nothing saved", "actions/cache/save", "actions/cache"},
		{"saved where nothing failed", "      - if: always()\n        uses: actions/cache/save", "      - uses: actions/cache/save"},
		{"saved once for all", "fuzz-corpus-${{ github.run_id }}-${{ github.run_attempt }}", "fuzz-corpus-1"},
		{"no YAML", "jobs:", "jobs: ["},
	} {
		changed := strings.ReplaceAll(text, c.from, c.to)
		if changed == text || everyNight([]byte(changed)) == nil {
			t.Errorf("%s is not noticed", c.name)
		}
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
		"no limit":                  {head + "go run ./fuzz/run --limit 0\n", false, 0, true},
		"another limit":             {head + "go run ./fuzz/run --limit 1h\n", false, 0, true},
		"a moment":                  {head + "go run ./fuzz/run --time 1ms\n", false, 0, true},
		"some of them":              {head + "go run ./fuzz/run --only dhcp4\n", false, 0, true},
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
		all = slices.DeleteFunc(all, func(line string) bool { return line != briefly })
		if len(all) != c.count || (err == nil) != c.minds {
			t.Errorf("%s: %q, %v", name, all, err)
		}
	}
}
