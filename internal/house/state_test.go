package house

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
)

// state: what a package declares with var is set once, where it is declared.
// A variable may hold an error, a compiled pattern, an embedded file or a
// table; it is a fault to write to it anywhere, or to let it be a lock, a
// channel or an atomic value, which are of no use but to change (a sync.Pool is
// let pass: nobody can tell what is in it). Tests may do all that.
func state(t *tree) []finding {
	var out []finding
	for _, files := range t.packages() {
		var code []*ast.File
		var in []*file
		for _, f := range files {
			if !f.test {
				code, in = append(code, f.ast), append(in, f)
			}
		}
		vars, uses := resolve(t.fset, code)
		for _, f := range in {
			out = append(out, changeable(t, f)...)
			ast.Inspect(f.ast, func(n ast.Node) bool {
				for _, target := range written(n) {
					if id := root(target); id != nil && vars[uses[id]] {
						out = append(out, t.find(f, id.Pos(), "writes to the package variable %s: "+
							"state belongs to a value that New makes", id.Name))
					}
				}
				return true
			})
		}
	}
	return out
}

// resolve finds the package variables and which identifier means which object.
// It needs nothing that is imported: scopes alone tell a package variable from
// a local one of the same name.
func resolve(fset *token.FileSet, files []*ast.File) (vars map[types.Object]bool, uses map[*ast.Ident]types.Object) {
	uses = map[*ast.Ident]types.Object{}
	vars = map[types.Object]bool{}
	conf := types.Config{Importer: nobody{}, Error: func(error) {}}
	// The error is that nothing could be imported; what was resolved stands.
	pkg, _ := conf.Check("p", fset, files, &types.Info{Uses: uses})
	for _, name := range pkg.Scope().Names() {
		if v, ok := pkg.Scope().Lookup(name).(*types.Var); ok {
			vars[v] = true
		}
	}
	return vars, uses
}

type nobody struct{}

func (nobody) Import(string) (*types.Package, error) {
	return nil, errors.New("nothing is imported here")
}

// written lists what a statement writes to.
func written(n ast.Node) []ast.Expr {
	switch s := n.(type) {
	case *ast.AssignStmt:
		if s.Tok != token.DEFINE {
			return s.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{s.X}
	case *ast.RangeStmt:
		if s.Tok == token.ASSIGN {
			return []ast.Expr{s.Key, s.Value}
		}
	case *ast.SendStmt:
		return []ast.Expr{s.Chan}
	case *ast.CallExpr:
		for _, name := range []string{"delete", "clear", "close"} {
			if isIdent(s.Fun, name) && len(s.Args) > 0 {
				return s.Args[:1]
			}
		}
	}
	return nil
}

// root is the variable that a.b[c].d belongs to.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// changeable finds package variables whose declared type only makes sense for
// something that changes.
func changeable(t *tree, f *file) []finding {
	var out []finding
	for _, decl := range f.ast.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			types := []ast.Expr{v.Type}
			for _, value := range v.Values {
				types = append(types, typeOf(value))
			}
			for _, typ := range types {
				if typ != nil && changes(typ) {
					out = append(out, t.find(f, v.Pos(), "the package variable %s is there to change: "+
						"state belongs to a value that New makes", v.Names[0].Name))
					break
				}
			}
		}
	}
	return out
}

// typeOf is the type that value is written with, as in T{}, &T{}, new(T) or
// make(T), else nil.
func typeOf(value ast.Expr) ast.Expr {
	switch x := value.(type) {
	case *ast.UnaryExpr:
		if x.Op == token.AND {
			return typeOf(x.X)
		}
	case *ast.CompositeLit:
		return x.Type
	case *ast.CallExpr:
		if (isIdent(x.Fun, "make") || isIdent(x.Fun, "new")) && len(x.Args) > 0 {
			return x.Args[0]
		}
	}
	return nil
}

func changes(typ ast.Expr) bool {
	found := false
	ast.Inspect(typ, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.FuncType:
			return false
		case *ast.ChanType:
			found = true
		case *ast.SelectorExpr:
			found = found || isIdent(x.X, "sync") && x.Sel.Name != "Pool" || isIdent(x.X, "atomic")
		}
		return true
	})
	return found
}
