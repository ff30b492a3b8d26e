package archtest

import "strings"

// layer is a package and what its code, not its tests, may import of this
// module.
type layer struct {
	dir string   // with the packages below it that have no layer of their own
	may []string // likewise with the packages below; "*" is all
	why string
}

// plan lists all layers, the highest first. A new package is added here and to
// ARCHITECTURE.md.
func plan() []layer {
	const (
		api        = "internal/api"
		account    = "internal/account"
		connlimit  = "internal/connlimit"
		diskspace  = "internal/diskspace"
		localhost  = "internal/localhost"
		strictjson = "internal/strictjson"
		files      = "internal/files"
		retention  = "internal/retention"
		stream     = "internal/stream"
		transfer   = "internal/transfer"
		wire       = "internal/transfer/wire"
		pace       = "internal/transfer/pace"
		filter     = "internal/transfer/filter"
	)
	return []layer{
		{"cmd", []string{"*"}, "the command line stands above everything"},
		{"internal/demo", []string{"internal/server", "internal/client", transfer, "triggers", account},
			"it starts servers and calls them as any program may"},
		{"internal/server", []string{"gateway", "middleware", "handlers", "openapi", "triggers", "web", "internal/store",
			transfer, account, files, retention, "internal/bandwidth", "internal/audit", stream, connlimit, diskspace, localhost, api},
			"it builds and runs the whole server, and knows neither the command line nor a client of the API"},
		{"internal/backup", []string{"internal/store", wire, transfer},
			"it reads and writes state directories, with or without a server"},
		{"gateway", []string{"middleware", connlimit, strictjson, api},
			"it makes routes from declarations; what the commands do is known to handlers alone"},
		{"middleware", []string{strictjson, api},
			"it serves every command alike; what it needs of others is an interface that internal/server fills"},
		{"handlers", []string{transfer, "triggers", account, stream, files, retention, "internal/bandwidth", api},
			"commands use the engine, and know nothing of HTTP, SQL or the command line"},
		{"openapi", []string{api, "triggers", stream},
			"the document is made from the declarations of commands and events alone"},
		{"web", nil, "it is files for the browser, which uses the API alone"},
		{"internal/watch", []string{"internal/client", "internal/terminal", transfer, api},
			"it follows a transfer by the API, for people at a terminal"},
		{"internal/console", []string{"internal/terminal"}, "it writes what a server says, whatever that is"},
		{"internal/terminal", nil, "it escapes text and aligns it, whatever it is about"},
		{"internal/client", []string{localhost, api},
			"it knows a server by its API alone, so that what it can do every client can"},
		{"internal/store", []string{transfer, "triggers", account, stream, diskspace, api},
			"it implements the domain's store interfaces and calls nobody"},
		{transfer + "/sender", []string{transfer, wire, pace, transfer + "/digest", localhost, "triggers", account, api},
			"the receiver is another process"},
		{transfer + "/receiver", []string{transfer, wire, pace, filter, transfer + "/digest", connlimit, diskspace, "triggers", account, stream, api},
			"the sender is another process"},
		{wire, []string{api, pace, "internal/terminal"}, "frames are the same at both ends, and know neither them nor the engine"},
		{transfer + "/digest", nil, "it hashes bytes, whatever brought them"},
		{pace, []string{api}, "it counts bytes and time and holds them up, whoever sends them"},
		{transfer, []string{"triggers", account, stream, localhost, api},
			"the engine knows states and events; bytes on the wire belong to the packages below it, which import it"},
		{"triggers", []string{stream, api},
			"it runs scripts for any event; who emits events imports it, and its store is an interface of its own"},
		{files, []string{account, api}, "it works in a user's sandbox and needs no engine"},
		{retention, []string{api}, "it decides when old objects are removed; their packages, behind interfaces, decide which are old"},
		{"internal/bandwidth", []string{pace, api}, "it keeps two limiters, whatever passes them"},
		{connlimit, []string{api}, "it counts and evicts connections, whatever is spoken on them"},
		{diskspace, nil, "it measures file systems, whoever fills them"},
		{localhost, nil, "it is about one name"},
		{strictjson, []string{api}, "it reads JSON and knows no requests"},
		{"internal/audit", []string{stream, "internal/terminal", api}, "it writes records down; what they tell of, its caller knows"},
		{account, []string{api}, "users and tokens are used by the packages above"},
		{stream, []string{api}, "the packages above append events in their own transactions; it knows none of them"},
		{api, nil, "it is the vocabulary of all packages: whatever it imported, all would import"},
		{"internal/transfertest", []string{transfer, pace, diskspace, "internal/store", "triggers", account, api}, "it runs a receiving server for tests"},
		{"docs", nil, "it holds pages and tests of these"},
		{"tools/benchtransfer", []string{"internal/server", "internal/client", transfer},
			"it starts servers as processes and calls them as any program may"},
		{"tools/linkem", nil, "it carries packets, whatever is in them"},
		{"tools/snapshot", nil, "it packs a program that go build made, whatever is in it"},
		{"tools/testlog", nil, "it prints what go test says, of any program"},
		{"internal/archtest", nil, "it reads the source of the others and must not need them to compile"},
	}
}

// within reports whether dir is parent or below it.
func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// layerOf finds the layer of a directory: the innermost of those that cover it.
func layerOf(dir string) (layer, bool) {
	var best layer
	for _, l := range plan() {
		if within(dir, l.dir) && len(l.dir) > len(best.dir) {
			best = l
		}
	}
	return best, best.dir != ""
}

// mayImport reports whether code of the layer may import the package at dir. A
// layer named in may stands for those below it too, but not for its siblings
// there: sender may import transfer and yet not receiver.
func (l layer) mayImport(dir string) bool {
	if within(dir, l.dir) {
		target, _ := layerOf(dir)
		return target.dir == l.dir
	}
	for _, m := range l.may {
		if m == "*" || dir == m || within(dir, m) && !within(l.dir, m) {
			return true
		}
	}
	return false
}
