package archtest

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// file is the head of a Go file: package clause, comment and imports.
type file struct {
	name string // slash-separated, below the module's root
	test bool
	ast  *ast.File
}

// tree is a module's Go files by directory, and the lines of their nodes.
type tree struct {
	module   string
	fset     *token.FileSet
	packages map[string][]file
}

// load reads the module at the root of fsys without testdata, hidden and
// ignored directories, and modules below it.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), packages: map[string][]file{}}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	t.module = strings.TrimSpace(strings.TrimPrefix(first, "module"))
	return t, fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != ".": // removed since its directory was read
			return nil
		case err != nil:
			return err
		case d.IsDir() && name != ".":
			_, err := fs.Stat(fsys, name+"/go.mod")
			if err == nil || name == "bin" || base == "testdata" || base == "node_modules" || base[0] == '.' {
				return fs.SkipDir
			}
		case path.Ext(name) == ".go":
			src, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			head, err := parser.ParseFile(t.fset, name, src, parser.ImportsOnly|parser.ParseComments)
			if err != nil {
				return err
			}
			dir := path.Dir(name)
			t.packages[dir] = append(t.packages[dir], file{name, strings.HasSuffix(name, "_test.go"), head})
		}
		return nil
	})
}

// each calls check for every package, in the order of the directories.
func (t *tree) each(check func(dir string, files []file)) {
	for _, dir := range slices.Sorted(maps.Keys(t.packages)) {
		check(dir, t.packages[dir])
	}
}

// fault says what is wrong at a place of a file.
func (t *tree) fault(at token.Pos, format string, args ...any) string {
	p := t.fset.Position(at)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

// checkImports finds imports of this module that the plan does not allow, and
// those of C, which depguard does not see.
func checkImports(t *tree) (faults []string) {
	t.each(func(dir string, files []file) {
		from, known := layerOf(dir)
		if !known {
			faults = append(faults, files[0].name+": the package is not in the plan: "+
				"add it with what it may import to plan() in internal/archtest, and to ARCHITECTURE.md")
			return
		}
		for _, f := range files {
			for _, spec := range f.ast.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				target, ours := strings.CutPrefix(imported, t.module+"/")
				switch {
				case imported == "C":
					faults = append(faults, t.fault(spec.Pos(), "imports C: the program is pure Go, one static file for every system"))
				case !ours:
				case within(target, "cmd") && !within(dir, "cmd"):
					faults = append(faults, t.fault(spec.Pos(), "imports %s: nobody imports the command line", target))
				case !f.test && !from.mayImport(target):
					faults = append(faults, t.fault(spec.Pos(), "%s must not import %s: %s", from.dir, target, from.why))
				}
			}
		}
	})
	return faults
}

// checkDocs finds packages that do not have one package comment in the usual
// form. A package of tests has it in a doc.go.
func checkDocs(t *tree) (faults []string) {
	t.each(func(dir string, files []file) {
		var with []file
		for _, f := range files {
			if !f.test && f.ast.Doc.Text() != "" {
				with = append(with, f)
			}
		}
		if len(with) == 0 {
			faults = append(faults, files[0].name+": the package has no package comment: say what it is for, "+
				"in a doc.go if it has nothing but tests")
			return
		}
		for _, more := range with[1:] {
			faults = append(faults, t.fault(more.ast.Doc.Pos(), "the package comment is in %s already: keep one", with[0].name))
		}
		head := with[0].ast
		want := "Package " + head.Name.Name + " "
		if head.Name.Name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(head.Doc.Text(), want) {
			faults = append(faults, t.fault(head.Doc.Pos(), "the package comment must begin with %q", want))
		}
	})
	return faults
}

func TestImports(t *testing.T) { checkModule(t, checkImports) }

func TestPackageComments(t *testing.T) { checkModule(t, checkDocs) }

func checkModule(t *testing.T, check func(*tree) []string) {
	module, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(module.packages) < 15 {
		t.Fatalf("only %d packages were found: the rules would hold for none", len(module.packages))
	}
	for _, fault := range check(module) {
		t.Error(fault)
	}
}

// TestRulesFail runs each rule on the tree of its file in testdata, whose first
// lines are the faults to be found there.
func TestRulesFail(t *testing.T) {
	for name, check := range map[string]func(*tree) []string{"imports": checkImports, "docs": checkDocs} {
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{}
			for _, f := range archive.Files {
				fsys[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			module, err := load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSpace(string(archive.Comment)), "\n")
			if diff := gocmp.Diff(want, check(module)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanHasNoCycle: no two layers may import each other, and each says why
// it may import no more.
func TestPlanHasNoCycle(t *testing.T) {
	layers := slices.SortedFunc(slices.Values(plan()), func(a, b layer) int { return cmp.Compare(a.dir, b.dir) })
	for i, a := range layers {
		if a.why == "" {
			t.Errorf("%s: say why it may import no more", a.dir)
		}
		for _, b := range layers[i+1:] {
			if a.dir == b.dir {
				t.Errorf("%s is in the plan twice", a.dir)
			}
			if a.dir != "cmd" && b.dir != "cmd" && a.mayImport(b.dir) && b.mayImport(a.dir) {
				t.Errorf("%s and %s may import each other", a.dir, b.dir)
			}
		}
	}
}
