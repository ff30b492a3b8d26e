package handlers

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/files"
	"jetstream/internal/store"
	"jetstream/internal/stream"
)

// quiet is a receiver without transfers.
type quiet struct{}

func (quiet) PartDirs(context.Context) ([]string, error) { return nil, nil }
func (quiet) Reserved(string) bool                       { return false }

type entryData struct {
	N int `json:"n" doc:"A number"`
}

// desk holds the commands for files and for the event log, with a sandbox of
// alice and an event log with an entry of alice, one of bob, and one of the
// server.
type desk struct {
	calls
	box string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d := &desk{box: t.TempDir()}
	db, err := store.Open(t.Context(), t.TempDir())
	must(err)
	t.Cleanup(func() { must(db.Close()) })
	must(db.Accounts().InsertUser(t.Context(), account.User{Name: "alice", Sandbox: d.box}))
	service, err := files.New(files.Options{Accounts: account.New(db.Accounts(), account.Options{}), Receptions: quiet{}})
	must(err)
	log, err := stream.New(t.Context(), stream.Options{Store: db.Entries()})
	must(err)
	kind := stream.Define[entryData]("thing.happened", "A thing happened.")
	for i, user := range []string{"alice", "bob", ""} {
		must(log.Update(t.Context(), func(tx stream.Tx) error { return kind.Append(log, tx, user, entryData{i}) }))
	}
	deps := Deps{Files: service, EventLog: log}
	d.calls = calls{t, api.NewRegistry(slices.Concat(fileCommands(deps), eventLogCommands(deps))...)}
	return d
}

func TestLsCursorFitsTheLongestFileName(t *testing.T) {
	d := newDesk(t)
	want := []string{strings.Repeat("a", 255), strings.Repeat("b", 255)}
	for _, name := range want {
		if err := os.WriteFile(filepath.Join(d.box, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ls, _ := d.Find("ls")
	cursor, _ := ls.Param("cursor")
	var names []string
	list := lsParams{optionalPathParam{"/"}, api.ListParams{Limit: 1}}
	for more := true; more; {
		_, page := d.ok("alice", "ls", list)
		for _, f := range page["files"].([]any) {
			names = append(names, f.(map[string]any)["name"].(string))
		}
		if list.Cursor, more = page["nextCursor"].(string); more && validator.New().Var(list.Cursor, cursor.Rules) != nil {
			t.Fatalf("ls gives a cursor of %d characters and takes only %s", len(list.Cursor), cursor.Rules)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("ls: %v", names)
	}
}

func TestFileCommandsListMakeMoveAndRemove(t *testing.T) {
	d := newDesk(t)
	for _, want := range []struct {
		status            int
		location, message string
	}{{201, "/files?path=%2Fa%2Fb%20c", "Directory made."}, {200, "", "The directory was there already."}} {
		out, result := d.ok("alice", "mkdir", pathParam{"/a/./b c/"})
		if out.Status != want.status || out.Location != want.location || out.Message != want.message || result["path"] != "/a/b c" {
			t.Errorf("mkdir: %+v %v", out, result)
		}
	}
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(d.box, "a", fmt.Sprint("f", i)), []byte("xyz"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	list := lsParams{optionalPathParam{"/a"}, api.ListParams{Limit: 2}}
	for {
		_, page := d.ok("alice", "ls", list)
		for _, f := range page["files"].([]any) {
			names = append(names, f.(map[string]any)["name"].(string))
		}
		next, more := page["nextCursor"].(string)
		if !more {
			break
		}
		list.Cursor = next
	}
	if !slices.Equal(names, []string{"b c", "f0", "f1", "f2", "f3", "f4"}) {
		t.Errorf("ls: %v", names)
	}
	if _, u := d.ok("alice", "du", optionalPathParam{"/"}); u["totalSize"] != 15.0 || u["totalFiles"] != 5.0 || u["totalDirectories"] != 2.0 {
		t.Errorf("du: %v", u)
	}
	if _, r := d.ok("alice", "mv", mvParams{pathParam: pathParam{"/a/f0"}, NewPath: "/a/f1", Overwrite: true}); r["path"] != "/a/f1" {
		t.Errorf("mv: %v", r)
	}
	if _, r := d.ok("alice", "rm", rmParams{pathParam{"/a"}, true}); r["removed"] != 6.0 {
		t.Errorf("rm: %v", r)
	}
	if _, page := d.ok("alice", "ls", lsParams{optionalPathParam{"/"}, api.ListParams{Limit: 2}}); len(page["files"].([]any)) != 0 || page["nextCursor"] != nil {
		t.Errorf("ls of an empty directory: %v", page)
	}
	if _, r := d.ok("alice", "lsRoots", lsRootsParams{}); fmt.Sprint(r["roots"]) != "[map[path:/ reason: writable:true]]" {
		t.Errorf("lsRoots: %v", r)
	}
}

func TestFileCommandsRefuseBadParametersAndCallersWithoutUser(t *testing.T) {
	d := newDesk(t)
	evil := base64.RawURLEncoding.EncodeToString([]byte("../../etc\x00"))
	for _, c := range []struct {
		user, name string
		params     any
		code       api.Code
	}{
		{"alice", "ls", lsParams{optionalPathParam{"/"}, api.ListParams{Limit: 1, Cursor: "%%%"}}, api.CodeInvalid},
		{"alice", "ls", lsParams{optionalPathParam{"/../x"}, api.ListParams{Limit: 1}}, api.CodeInvalid},
		{"alice", "ls", lsParams{optionalPathParam{"/x"}, api.ListParams{Limit: 1}}, api.CodeNotFound},
		{"alice", "rm", rmParams{pathParam{"/"}, true}, api.CodeInvalid},
		{"nobody", "ls", lsParams{optionalPathParam{"/"}, api.ListParams{Limit: 1}}, api.CodeNotFound},
		{"", "ls", lsParams{optionalPathParam{"/"}, api.ListParams{Limit: 1}}, api.CodeInvalid}, // a launch token that named nobody
		{"", "lsRoots", lsRootsParams{}, api.CodeInvalid},
		{"", "du", optionalPathParam{"/"}, api.CodeInvalid},
		{"", "mkdir", pathParam{"/x"}, api.CodeInvalid},
		{"", "mv", mvParams{pathParam: pathParam{"/x"}, NewPath: "/y"}, api.CodeInvalid},
		{"", "rm", rmParams{pathParam{"/x"}, true}, api.CodeInvalid},
		{"alice", "getEventLog", getEventLogParams{ListParams: api.ListParams{Limit: 1, Cursor: evil}}, api.CodeInvalid},
	} {
		if _, _, err := d.as(c.user, c.name, c.params); err == nil || api.ErrorOf(err).Code != c.code {
			t.Errorf("%s %+v as %q answers %v, want %s", c.name, c.params, c.user, err, c.code)
		}
	}
	// A forged cursor is only a name that the page begins after.
	if _, page := d.ok("alice", "ls", lsParams{optionalPathParam{"/"}, api.ListParams{Limit: 1, Cursor: evil}}); len(page["files"].([]any)) != 0 {
		t.Errorf("a made-up cursor shows %v", page)
	}
}

func TestEventLogShowsWhatTheCallerMaySee(t *testing.T) {
	d := newDesk(t)
	for user, want := range map[string]string{"alice": "[0]", "bob": "[1]", "eve": "[]", "root": "[2 1 0]"} {
		_, page := d.ok(user, "getEventLog", getEventLogParams{ListParams: api.ListParams{Limit: 10}})
		got := []float64{}
		for _, e := range page["events"].([]any) {
			m := e.(map[string]any)
			got = append(got, m["data"].(map[string]any)["n"].(float64))
			if m["type"] != "thing.happened" || m["time"] != m["data"].(map[string]any)["time"] {
				t.Errorf("%v", m)
			}
		}
		if fmt.Sprint(got) != want || page["nextCursor"] != nil {
			t.Errorf("%s sees %v, want %s", user, got, want)
		}
	}
	_, page := d.ok("root", "getEventLog", getEventLogParams{ListParams: api.ListParams{Limit: 2}})
	_, page = d.ok("root", "getEventLog", getEventLogParams{ListParams: api.ListParams{Limit: 2, Cursor: page["nextCursor"].(string)}})
	if events := page["events"].([]any); len(events) != 1 || events[0].(map[string]any)["id"] != 1.0 {
		t.Errorf("the second page: %v", page)
	}
}
