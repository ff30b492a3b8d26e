package house

import (
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// room is one room of the house: what its code (not its tests) may import of
// this module, and why no more.
type room struct {
	dir string // covers the packages below it that are no room themselves
	may []string
	why string
}

// rooms is the plan of the house. A new room is added here with its arrows,
// and to ARCHITECTURE.md. Rooms under a dir named in may are meant as well.
func rooms() []room {
	const (
		api      = "internal/api"
		account  = "internal/account"
		stream   = "internal/stream"
		transfer = "internal/transfer"
		wire     = "internal/transfer/wire"
		pace     = "internal/transfer/pace"
	)
	return []room{
		{"cmd", []string{"*"}, "it knows the whole graph"},
		{"gateway", []string{"middleware", api},
			"it makes routes from declarations; what commands do is the handlers' business, joined in cmd"},
		{"middleware", []string{api},
			"it serves every command alike, so it knows none; what it needs is an interface of its own, joined in cmd"},
		{"handlers", []string{transfer, "triggers", account, stream, "internal/files", "internal/retention", api},
			"commands work on the engine and know nothing of HTTP, SQL or the command line"},
		{"triggers", []string{stream, api},
			"it runs scripts for whatever happens; who emits imports it, and its store is an interface of its own"},
		{"openapi", []string{api, "triggers", stream},
			"the document is made from declarations of commands and events and from nothing else"},
		{"web", nil, "it is files for the browser; the page knows the server by its API alone"},
		{api, nil, "it is the vocabulary of all rooms: whatever it imported, all would import"},
		{stream, []string{api},
			"what happens is told to it by the rooms above, in their transactions; it knows none of them"},
		{"internal/files", []string{account, api},
			"it works in sandboxes; who else works there tells it by an interface of its own"},
		{"internal/retention", []string{api},
			"it decides when to collect; what is old the rooms decide that it calls by interfaces"},
		{account, []string{api}, "users and tokens are known to the rooms above, not the other way"},
		{transfer, []string{"triggers", account, stream, api},
			"the engine knows states and events; bytes on the wire are its inner rooms', which import it"},
		{wire, []string{api, pace},
			"frames are the same for both ends and know neither of them, nor the engine"},
		{pace, []string{api}, "it counts bytes and time and knows not whose"},
		{transfer + "/sender", []string{transfer, wire, pace, "triggers", account, api},
			"it carries out what the engine decides; the receiver is another process"},
		{transfer + "/receiver", []string{transfer, wire, pace, "triggers", account, stream, api},
			"it carries out what the engine decides; the sender is another process"},
		{"internal/transfertest", []string{transfer, "internal/store", "triggers", account, api},
			"it runs a receiving server for tests, and for nothing else"},
		{"internal/store", []string{transfer, "triggers", account, stream, api},
			"it implements the domain's small interfaces in SQL and calls nobody"},
		{"internal/client", []string{api},
			"it knows a server by its API alone, so that what it can, every client can"},
		{"internal/house", nil, "it reads the others' text and must not need them to compile"},
	}
}

// domain are the rooms that must not know of HTTP.
func domain() []string {
	return []string{"handlers", "internal/transfer", "triggers", "internal/account", "internal/files", "internal/retention", "internal/store"}
}

func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// roomOf finds the innermost room that covers dir.
func roomOf(dir string) (room, bool) {
	var best room
	for _, r := range rooms() {
		if within(dir, r.dir) && len(r.dir) > len(best.dir) {
			best = r
		}
	}
	return best, best.dir != ""
}

// mayImport tells whether code in r may import the package at dir. Naming a
// room does not open its inner rooms to its own inner rooms: sender may import
// transfer and yet not receiver.
func (r room) mayImport(dir string) bool {
	if within(dir, r.dir) {
		target, _ := roomOf(dir)
		return target.dir == r.dir
	}
	for _, m := range r.may {
		if m == "*" || dir == m || within(dir, m) && !within(r.dir, m) {
			return true
		}
	}
	return false
}

// arrows: only the arrows of the plan.
func arrows(t *tree) []finding {
	var out []finding
	for _, files := range t.packages() {
		from, known := roomOf(files[0].dir)
		if !known {
			out = append(out, finding{files[0].name, 0, "is in no room of the plan: " +
				"put it into one, or add its room with its arrows to rooms() in internal/house and to ARCHITECTURE.md"})
			continue
		}
		for _, f := range files {
			for _, im := range f.imports {
				switch {
				case im.room == "":
				case within(im.room, "cmd") && !within(f.dir, "cmd"):
					out = append(out, t.find(f, im.pos, "imports %s: nobody imports cmd, it joins all the rooms", im.room))
				case !f.test && !from.mayImport(im.room):
					out = append(out, t.find(f, im.pos, "%s must not import %s: %s", from.dir, im.room, from.why))
				}
			}
		}
	}
	return out
}

// cycles: packages do not import each other in a circle, on any platform.
func cycles(t *tree) []finding {
	graph := map[string]map[string]bool{}
	for _, f := range t.files {
		if f.test {
			continue
		}
		if graph[f.dir] == nil {
			graph[f.dir] = map[string]bool{}
		}
		for _, im := range f.imports {
			if im.room != "" {
				graph[f.dir][im.room] = true
			}
		}
	}
	var out []finding
	done := map[string]bool{}
	var visit func(dir string, way []string)
	visit = func(dir string, way []string) {
		if i := slices.Index(way, dir); i >= 0 {
			out = append(out, finding{dir, 0, "imports itself in a circle: " +
				strings.Join(append(way[i:], dir), " -> ")})
			return
		}
		if done[dir] {
			return
		}
		way = append(slices.Clone(way), dir)
		for _, next := range slices.Sorted(maps.Keys(graph[dir])) {
			visit(next, way)
		}
		done[dir] = true
	}
	for _, dir := range slices.Sorted(maps.Keys(graph)) {
		visit(dir, nil)
	}
	return out
}

// privilege is an import that only some rooms may have in their code.
type privilege struct {
	path  string // and everything below it
	rooms []string
	tests bool // the rule holds for tests as well
	why   string
}

func privileges() []privilege {
	return []privilege{
		{"C", nil, true, "the program is pure Go: one static binary that cross-compiles"},
		{"github.com/go-chi/render", nil, true, "nobody keeps it; the gateway writes replies itself"},
		{"github.com/go-chi/cors", nil, true, "the origin guard is middleware/origin.go; no wildcard"},
		{"database/sql", []string{"internal/store"}, false, "the store is the only room with SQL"},
		{"modernc.org/sqlite", []string{"internal/store"}, false, "the store is the only room with SQL"},
		{"github.com/getkin/kin-openapi", nil, false, "it is for tests of the document, not for making it"},
		{"flag", []string{"cmd"}, false, "only cmd reads flags; others have Options"},
		{"github.com/alecthomas/kong", []string{"cmd"}, false, "only cmd reads flags; others have Options"},
	}
}

// imports: what a package may import from outside the module.
func imports(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		for _, im := range f.imports {
			for _, p := range privileges() {
				allowed := slices.ContainsFunc(p.rooms, func(r string) bool { return within(f.dir, r) })
				if within(im.path, p.path) && !allowed && (p.tests || !f.test) {
					out = append(out, t.find(f, im.pos, "must not import %s: %s", im.path, p.why))
				}
			}
			inDomain := slices.ContainsFunc(domain(), func(d string) bool { return within(f.dir, d) })
			if inDomain && !f.test && within(im.path, "net/http") {
				out = append(out, t.find(f, im.pos, "must not import %s: the domain knows nothing of HTTP; "+
					"routes, statuses and replies are the gateway's", im.path))
			}
		}
		f.uses("github.com/go-chi/chi/v5/middleware", func(pos token.Pos, name string) {
			if name == "RealIP" {
				out = append(out, t.find(f, pos, "must not use chi's RealIP: any client can write the header it believes"))
			}
		})
		if !f.test && !within(f.dir, "cmd") {
			f.uses("os", func(pos token.Pos, name string) {
				switch name {
				case "Getenv", "LookupEnv", "Environ", "ExpandEnv":
					out = append(out, t.find(f, pos, "must not call os.%s: only cmd reads the environment; others have Options", name))
				}
			})
		}
	}
	return out
}

// names: a package is named for what it is about.
func names(t *tree) []finding {
	vague := []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "lib"}
	var out []finding
	for _, files := range t.packages() {
		f := files[0]
		for _, n := range []string{path.Base(f.dir), f.ast.Name.Name} {
			if slices.Contains(vague, strings.TrimSuffix(n, "_test")) {
				out = append(out, finding{f.name, 0, "package " + n + " is named for nothing: name it for what it is about"})
				break
			}
		}
	}
	return out
}
