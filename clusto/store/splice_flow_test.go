package store

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// executes are the methods of database/sql that take a statement, and the place
// of it among the arguments.
var executes = map[string]int{
	"Exec": 0, "Query": 0, "QueryRow": 0, "Prepare": 0,
	"ExecContext": 1, "QueryContext": 1, "QueryRowContext": 1, "PrepareContext": 1,
}

// flow is where the texts of a package come from.
type flow struct {
	fset    *token.FileSet
	info    types.Info
	from    map[types.Object][]ast.Expr   // what is ever put into a variable, field or parameter
	tuple   map[types.Object]int          // which result of a call it is, where that is its source
	returns map[types.Object][]ast.Node   // of a function: its return statements
	results map[types.Object][]*ast.Ident // of a function: its named results
	filled  map[types.Object]bool         // somebody has its address, and may put in anything
	texts   map[types.Object][]ast.Expr   // of a strings.Builder: what is written into it
	stmts   []ast.Expr                    // what is executed
	asked   map[types.Object]map[int]bool // being looked at: loops bring nothing new
}

func newFlow(fset *token.FileSet, files []*ast.File) *flow {
	f := &flow{
		fset: fset, from: map[types.Object][]ast.Expr{}, tuple: map[types.Object]int{}, returns: map[types.Object][]ast.Node{},
		results: map[types.Object][]*ast.Ident{}, filled: map[types.Object]bool{}, texts: map[types.Object][]ast.Expr{},
		asked: map[types.Object]map[int]bool{},
		info: types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		},
	}
	// Other packages are not looked at: what comes from them is no constant.
	conf := types.Config{Importer: nowhere{}, Error: func(error) {}}
	_, _ = conf.Check("store", fset, files, &f.info)
	for _, file := range files {
		ast.Inspect(file, f.note)
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				f.noteReturns(fn)
			}
		}
	}
	return f
}

// nowhere imports empty packages.
type nowhere struct{}

func (nowhere) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	p.MarkComplete()
	return p, nil
}

// object gives the variable, field or function that an expression names.
func (f *flow) object(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if o := f.info.Defs[e]; o != nil {
			return o
		}
		return f.info.Uses[e]
	case *ast.SelectorExpr:
		return f.info.Uses[e.Sel]
	case *ast.StarExpr:
		return f.object(e.X)
	}
	return nil
}

func (f *flow) put(into ast.Expr, from ast.Expr) {
	if o := f.object(into); o != nil {
		f.from[o] = append(f.from[o], from)
	}
}

func (f *flow) note(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		f.assign(n.Lhs, n.Rhs)
	case *ast.ValueSpec:
		names := make([]ast.Expr, len(n.Names))
		for i, name := range n.Names {
			names[i] = name
		}
		f.assign(names, n.Values)
	case *ast.RangeStmt:
		if n.Value != nil {
			f.put(n.Value, n.X)
		} else if n.Key != nil {
			f.put(n.Key, n.X) // of an iterator
		}
	case *ast.UnaryExpr:
		if o := f.object(n.X); n.Op == token.AND && o != nil {
			f.filled[o] = true
		}
	case *ast.CompositeLit:
		f.literal(n)
	case *ast.CallExpr:
		f.call(n)
	}
	return true
}

func (f *flow) assign(to, from []ast.Expr) {
	for i := range to {
		switch {
		case len(from) == len(to):
			f.put(to[i], from[i])
		case len(from) == 1:
			f.put(to[i], from[0])
			if o := f.object(to[i]); o != nil {
				f.tuple[o] = i
			}
		}
	}
}

func (f *flow) literal(n *ast.CompositeLit) {
	tv, ok := f.info.Types[n]
	if !ok {
		return
	}
	st, ok := tv.Type.Underlying().(*types.Struct)
	for i, e := range n.Elts {
		if kv, keyed := e.(*ast.KeyValueExpr); keyed {
			f.put(kv.Key, kv.Value)
		} else if ok && i < st.NumFields() {
			f.from[st.Field(i)] = append(f.from[st.Field(i)], e)
		}
	}
}

func (f *flow) call(n *ast.CallExpr) {
	sel, method := n.Fun.(*ast.SelectorExpr)
	if method {
		if i, ok := executes[sel.Sel.Name]; ok && len(n.Args) > i {
			f.stmts = append(f.stmts, n.Args[i])
		}
		if o := f.object(sel.X); sel.Sel.Name == "WriteString" && o != nil {
			f.texts[o] = append(f.texts[o], n.Args[0])
		}
	}
	tv, ok := f.info.Types[n.Fun]
	if !ok {
		return
	}
	sig, ok := tv.Type.Underlying().(*types.Signature)
	if !ok {
		return
	}
	for i, arg := range n.Args {
		if last := sig.Params().Len() - 1; last >= 0 {
			p := sig.Params().At(min(i, last))
			f.from[p] = append(f.from[p], arg)
		}
	}
}

func (f *flow) noteReturns(fn *ast.FuncDecl) {
	o := f.info.Defs[fn.Name]
	if fn.Type.Results != nil {
		for _, field := range fn.Type.Results.List {
			f.results[o] = append(f.results[o], field.Names...)
		}
	}
	if fn.Body == nil {
		return
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok {
			f.returns[o] = append(f.returns[o], r)
		}
		_, closure := n.(*ast.FuncLit)
		return !closure
	})
}

// constant reports whether a text is made of the program's own constants alone.
// result is which one is meant of a call's several.
func (f *flow) constant(e ast.Expr, result int) bool {
	if tv, ok := f.info.Types[e]; ok && tv.Value != nil {
		return true
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.BasicLit:
		return true
	case *ast.BinaryExpr:
		return f.constant(e.X, 0) && f.constant(e.Y, 0)
	case *ast.CompositeLit:
		return !slices.ContainsFunc(e.Elts, func(e ast.Expr) bool { return !f.constant(e, 0) })
	case *ast.CallExpr:
		return f.constantCall(e, result)
	case *ast.Ident, *ast.SelectorExpr:
		return f.constantObject(f.object(e))
	}
	return false
}

// constantCall knows what makes statements of statements.
func (f *flow) constantCall(e *ast.CallExpr, result int) bool {
	all := func(args []ast.Expr) bool {
		return !slices.ContainsFunc(args, func(a ast.Expr) bool { return !f.constant(a, 0) })
	}
	name := types.ExprString(e.Fun)
	if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
		switch o := f.object(sel.X); {
		case sel.Sel.Name == "q": // of a dialect
			return all(e.Args)
		case sel.Sel.Name == "Replace": // of a strings.Replacer
			return f.constant(sel.X, 0) && all(e.Args)
		case sel.Sel.Name == "String" && o != nil && len(f.texts[o]) > 0:
			return all(f.texts[o])
		}
	}
	switch name {
	case "params": // question marks
		return true
	case "strings.Join", "strings.TrimPrefix", "strings.TrimSuffix", "fmt.Sprintf", "strings.TrimSpace", "strings.NewReplacer", "append":
		return all(e.Args)
	case "strings.Repeat":
		return all(e.Args[:1])
	}
	return f.constantResult(f.object(e.Fun), result)
}

func (f *flow) constantObject(o types.Object) bool {
	switch o := o.(type) {
	case *types.Const, *types.Nil:
		return true
	case *types.Var:
		if f.filled[o] {
			return false
		}
		if f.isAsked(o, 0) {
			return true
		}
		defer delete(f.asked, o)
		if len(f.from[o]) == 0 {
			return o.Parent() != nil && !isParameter(o) // declared, and not filled
		}
		for _, e := range f.from[o] {
			if !f.constant(e, f.tuple[o]) {
				return false
			}
		}
		return true
	}
	return false
}

// isParameter guesses it of one that nothing is ever put into: a function that
// is called by another name.
func isParameter(o *types.Var) bool { return o.Kind() == types.ParamVar }

// isAsked marks an object as being looked at, and reports whether it was.
func (f *flow) isAsked(o types.Object, result int) bool {
	if f.asked[o][result] {
		return true
	}
	if f.asked[o] == nil {
		f.asked[o] = map[int]bool{}
	}
	f.asked[o][result] = true
	return false
}

// constantResult looks at all that a function of the package returns.
func (f *flow) constantResult(o types.Object, result int) bool {
	if o == nil || len(f.returns[o]) == 0 {
		return false
	}
	if f.isAsked(o, result) {
		return true
	}
	defer delete(f.asked, o)
	for _, n := range f.returns[o] {
		r := n.(*ast.ReturnStmt)
		var e ast.Expr
		switch {
		case len(r.Results) > result:
			e = r.Results[result]
		case len(r.Results) == 0 && len(f.results[o]) > result:
			e = f.results[o][result]
		default:
			return false
		}
		if !f.constant(e, 0) {
			return false
		}
	}
	return true
}

// spliced lists the statements that are not made of constants alone.
func (f *flow) spliced() (out []string) {
	for _, e := range f.stmts {
		if tv := f.info.Types[e]; tv.Type != nil && !isText(tv.Type) {
			continue // an argument of what was prepared
		}
		if !f.constant(e, 0) {
			out = append(out, fmt.Sprintf("%s: the statement %s is not made of constants alone; bind what varies", f.fset.Position(e.Pos()), types.ExprString(e)))
		}
	}
	return out
}

// isText reports whether a type may be a text: those of other packages may.
func isText(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && (basic.Info()&types.IsString != 0 || basic.Kind() == types.Invalid)
}
