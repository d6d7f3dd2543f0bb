package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestStatementsAreConstant: every statement that the package executes is made
// of its own constants, so that nothing of a request can be in it.
func TestStatementsAreConstant(t *testing.T) {
	fset := token.NewFileSet()
	var files []*ast.File
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(fset, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	f := newFlow(fset, files)
	if len(f.stmts) < 20 {
		t.Errorf("only %d statements were found", len(f.stmts))
	}
	for _, s := range f.spliced() {
		t.Error(s)
	}
}

// TestSplicingIsFound has the checker look at statements of both kinds.
func TestSplicingIsFound(t *testing.T) {
	const head = "package store\nimport (\"fmt\"; \"strings\")\ntype d struct{ lock, name string }\nvar one = d{lock: `LOCK`}\nconst c = `a`\n" +
		"func params(int) string { return strings.Repeat(`?`, 2) }\nfunc (d) q(s string) string { return s }\n"
	for body, found := range map[string]bool{
		"func f(x X, v string) { x.Exec(`a` + c, v) }":                                                                     false,
		"func f(x X, v string) { x.Exec(`a` + v) }":                                                                        true,
		"func f(x X, v string) { x.Exec(fmt.Sprintf(`a %s`, v)) }":                                                         true,
		"func f(x X, v string) { x.QueryContext(nil, one.q(`a IN (` + params(len(v)) + `)`), v) }":                         false,
		"func f(x X, v string) { x.QueryContext(nil, one.q(`a ` + v)) }":                                                   true,
		"func f(x X) { x.Exec(one.lock) }":                                                                                 false,
		"func f(x X, v string) { one.lock = v; x.Exec(one.lock) }":                                                         true,
		"func f(x X, v string) { two := d{`a`, v}; x.Exec(two.lock); x.Exec(two.name) }":                                   true,
		"func f(x X, v string) { two := d{`a`, v}; x.Exec(two.lock) }":                                                     false,
		"func f(x X) { g(x, `a`); g(x, c) }\nfunc g(x X, s string) { x.Exec(s) }":                                          false,
		"func f(x X, v string) { g(x, `a`); g(x, v) }\nfunc g(x X, s string) { x.Exec(s) }":                                true,
		"func f(x X, v string) { s := `a`; if v > c { s += ` b` }; x.Exec(s) }":                                            false,
		"func f(x X, v string) { s := `a`; if v > c { s += v }; x.Exec(s) }":                                               true,
		"func f(x X, v string) { s, a := g(v); x.Exec(s, a) }\nfunc g(v string) (string, string) { return `a`, v }":        false,
		"func f(x X, v string) { a, s := g(v); x.Exec(s, a) }\nfunc g(v string) (string, string) { return `a`, v }":        true,
		"func f(x X, v string) { x.Exec(g(v)) }\nfunc g(v string) (s string) { s = `a` + v; return }":                      true,
		"func f(x X, v []string) { var u []string; for range v { u = append(u, `a`) }; x.Exec(strings.Join(u, c)) }":       false,
		"func f(x X, v []string) { var u []string; for _, w := range v { u = append(u, w) }; x.Exec(strings.Join(u, c)) }": true,
		"func f(x X) { var s string; x.Scan(&s); x.Exec(s) }":                                                              true,
		"func f(x X) { for _, s := range []struct{ q string }{{`a`}, {c}} { x.Exec(s.q) } }":                               false,
		"func f(x X, v string) { var b strings.Builder; b.WriteString(`a`); x.Exec(b.String()) }":                          false,
		"func f(x X, v string) { var b strings.Builder; b.WriteString(v); x.Exec(b.String()) }":                            true,
		"func f(st X, v string, a ...any) { st.ExecContext(nil, a...) }":                                                   false,
		"func f(x X, v string) { r := strings.NewReplacer(`A`, one.lock); x.Exec(r.Replace(`A`)) }":                        false,
		"func f(x X, v string) { r := strings.NewReplacer(`A`, v); x.Exec(r.Replace(`A`)) }":                               true,
		"var h = func(x X, s string) { x.Exec(s) }":                                                                        true,
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "x.go", head+body, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := newFlow(fset, []*ast.File{file}).spliced(); (len(got) > 0) != found {
			t.Errorf("%s\nfound %q, want %v", body, got, found)
		}
	}
}
