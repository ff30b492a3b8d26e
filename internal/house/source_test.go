package house

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
)

// Lines that a file may have: what fits into a head at once.
const (
	maxLines     = 400
	maxTestLines = 800
)

// sizes: a file is about one thing, which shows in its length.
func sizes(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if f.lines > limit && !ast.IsGenerated(f.ast) {
			out = append(out, finding{f.name, f.lines, sizeFault(limit)})
		}
	}
	for _, x := range t.texts {
		switch path.Ext(x.name) {
		case ".sql", ".js", ".css", ".html":
			if n := strings.Count(x.content, "\n"); n > maxLines {
				out = append(out, finding{x.name, n, sizeFault(maxLines)})
			}
		}
	}
	return out
}

func sizeFault(limit int) string {
	if limit == maxTestLines {
		return "a test file has at most 800 lines: split it by what it tests"
	}
	return "a file has at most 400 lines: split it by what it is about"
}

// docs: each package says once what it is for.
func docs(t *tree) []finding {
	var out []finding
	for _, files := range t.packages() {
		var have []*file
		onlyTests := true
		for _, f := range files {
			onlyTests = onlyTests && f.test
			if f.ast.Doc.Text() != "" && !f.test {
				have = append(have, f)
			}
		}
		if onlyTests {
			out = append(out, finding{files[0].name, 0, "has no doc.go beside it: a package of tests says what it is for as well"})
			continue
		}
		if len(have) == 0 {
			out = append(out, finding{files[0].name, 0, "no file of this package has a package comment: say what it is for"})
			continue
		}
		for _, more := range have[1:] {
			out = append(out, t.find(more, more.ast.Doc.Pos(), "the package comment stands in %s already: keep one", have[0].name))
		}
		want := "Package " + have[0].ast.Name.Name + " "
		if have[0].ast.Name.Name == "main" {
			want = "Command " + path.Base(have[0].dir) + " "
		}
		if !strings.HasPrefix(have[0].ast.Doc.Text(), want) {
			out = append(out, t.find(have[0], have[0].ast.Doc.Pos(), "the package comment must begin with %q", want))
		}
	}
	return out
}

// inits: nothing happens before main.
func inits(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, t.find(f, fn.Pos(), "has an init(): what must be made is made by New and given by Options"))
			}
		}
	}
	return out
}

// starts: New makes, Serve runs.
func starts(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if f.test || !ok || fn.Body == nil || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "New") {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.FuncLit: // runs when somebody calls it
					return false
				case *ast.GoStmt:
					out = append(out, t.find(f, n.Pos(), "%s starts a goroutine: New makes, Serve(ctx) runs and waits for what it started", fn.Name.Name))
				}
				return true
			})
		}
	}
	return out
}

// sleeps: tests wait for what they wait for. In a synctest bubble sleeping
// moves the bubble's clock and costs nothing, so there it is right: in what is
// given to synctest.Test, and in a function that calls synctest.Wait.
func sleeps(t *tree) []finding {
	var out []finding
	for _, files := range t.packages() {
		bubbles := bubbleNames(files)
		for _, f := range files {
			if !f.test {
				continue
			}
			for _, decl := range f.ast.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && bubbles[fn.Name.Name] {
					continue
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					if inBubble(n) {
						return false
					}
					if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, "time") && sel.Sel.Name == "Sleep" {
						out = append(out, t.find(f, n.Pos(), "sleeps: wait on a channel or a condition of the engine, "+
							"or move the clock of testing/synctest"))
					}
					return true
				})
			}
		}
	}
	return out
}

// bubbleNames are the functions of a package that are given to synctest.Test
// by name.
func bubbleNames(files []*file) map[string]bool {
	out := map[string]bool{}
	for _, f := range files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := isCall(n, "synctest", "Test"); ok {
				for _, arg := range call.Args {
					if id, ok := arg.(*ast.Ident); ok {
						out[id.Name] = true
					}
				}
			}
			return true
		})
	}
	return out
}

func inBubble(n ast.Node) bool {
	if _, ok := isCall(n, "synctest", "Test"); ok {
		return true
	}
	var body *ast.BlockStmt
	switch fn := n.(type) {
	case *ast.FuncDecl:
		body = fn.Body
	case *ast.FuncLit:
		body = fn.Body
	}
	if body == nil {
		return false
	}
	waits := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit: // another function, another bubble
			return false
		}
		_, ok := isCall(n, "synctest", "Wait")
		waits = waits || ok
		return true
	})
	return waits
}

// leftovers: work that is not done is an issue, not a comment.
func leftovers(t *tree) []finding {
	word := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	var out []finding
	fault := func(w string) string {
		return w + ": finish it, or say in an issue what is missing"
	}
	for _, f := range t.files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if w := word.FindString(c.Text); w != "" {
					out = append(out, t.find(f, c.Pos(), "%s", fault(w)))
				}
			}
		}
		f.uses("context", func(pos token.Pos, name string) {
			if word.MatchString(name) {
				out = append(out, t.find(f, pos, "%s", fault("context."+name)))
			}
		})
	}
	for _, x := range t.texts {
		n := 0
		for line := range strings.Lines(x.content) {
			n++
			if w := word.FindString(line); w != "" {
				out = append(out, finding{x.name, n, fault(w)})
			}
		}
	}
	return out
}
