package house

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is the module as it lies on disk: its Go files parsed, its other text
// files as they are.
type tree struct {
	module string
	fset   *token.FileSet
	files  []*file // in the order of their names
	texts  []text
}

// file is one Go file.
type file struct {
	name    string // slash-separated, relative to the module's root
	dir     string // its directory, which is the package's path below the module
	test    bool
	lines   int
	ast     *ast.File
	imports []imported
}

// imported is one import declaration.
type imported struct {
	path string
	// room is path below the module for an import of our own, else empty.
	room string
	// name is how the file calls it, by declaration or by guess.
	name string
	pos  token.Pos
}

// text is a hand-written file that is not Go.
type text struct {
	name    string
	content string
}

// finding is one place where a rule is broken.
type finding struct {
	file string
	line int // 0 when it is about the whole file
	what string
}

func (f finding) String() string {
	if f.line == 0 {
		return f.file + ": " + f.what
	}
	return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.what)
}

func (t *tree) find(f *file, pos token.Pos, format string, args ...any) finding {
	return finding{f.name, t.fset.Position(pos).Line, fmt.Sprintf(format, args...)}
}

// packages groups the files by directory, in the order of the names.
func (t *tree) packages() [][]*file {
	var out [][]*file
	for _, f := range t.files {
		if n := len(out); n > 0 && out[n-1][0].dir == f.dir {
			out[n-1] = append(out[n-1], f)
			continue
		}
		out = append(out, []*file{f})
	}
	return out
}

// load reads the module at the root of fsys. What git ignores, hidden
// directories, testdata and modules of their own are left out.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	t.module = strings.TrimSpace(strings.TrimPrefix(first, "module"))
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != ".": // gone since the directory was read
			return nil
		case err != nil:
			return err
		case d.IsDir():
			return enter(fsys, name)
		case !d.Type().IsRegular():
			return nil
		case path.Ext(name) == ".go":
			return t.addGo(fsys, name)
		case handWritten(name):
			b, err := fs.ReadFile(fsys, name)
			t.texts = append(t.texts, text{name, string(b)})
			return err
		}
		return nil
	})
	slices.SortStableFunc(t.files, func(a, b *file) int {
		return cmp.Or(strings.Compare(a.dir, b.dir), strings.Compare(a.name, b.name))
	})
	return t, err
}

func enter(fsys fs.FS, name string) error {
	base := path.Base(name)
	if name == "." {
		return nil
	}
	if base == "testdata" || name == "bin" || base == "node_modules" || strings.HasPrefix(base, ".") && base != ".ci" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, name+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}

func handWritten(name string) bool {
	switch path.Ext(name) {
	case ".md", ".sql", ".js", ".css", ".html", ".yml", ".sh":
		return true
	}
	return path.Base(name) == "Makefile" || path.Dir(name) == ".ci"
}

func (t *tree) addGo(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &file{
		name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(src, []byte("\n")), ast: parsed,
	}
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		im := imported{path: p, name: packageName(p), pos: spec.Pos()}
		if spec.Name != nil {
			im.name = spec.Name.Name
		}
		if below, ours := strings.CutPrefix(p, t.module+"/"); ours {
			im.room = below
		}
		f.imports = append(f.imports, im)
	}
	t.files = append(t.files, f)
	return nil
}

// packageName guesses a package's name from its import path: the last element
// that is not a major version.
func packageName(p string) string {
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(p))
	}
	return base
}

// uses calls fn for each selector of the package with that import path in f,
// such as time.Sleep, with its name after the point.
func (f *file) uses(importPath string, fn func(pos token.Pos, name string)) {
	for _, im := range f.imports {
		if im.path != importPath {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, im.name) {
				fn(sel.Pos(), sel.Sel.Name)
			}
			return true
		})
	}
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// isCall tells whether n calls pkg.fn by these very names.
func isCall(n ast.Node, pkg, fn string) (*ast.CallExpr, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil, false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return call, ok && isIdent(sel.X, pkg) && sel.Sel.Name == fn
}
