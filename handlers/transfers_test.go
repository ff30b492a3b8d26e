package handlers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// sending holds the commands for destinations, manifests and transfers, on an
// engine that serves. The users alice and bob share a sandbox with three files.
type sending struct {
	calls
	engine   *transfer.Engine
	accounts account.Store
}

func newSending(t *testing.T, change ...func(*transfer.Options)) *sending {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	box := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		must(os.WriteFile(filepath.Join(box, name), []byte(name), 0o600))
	}
	db, err := store.Open(t.Context(), t.TempDir())
	must(err)
	t.Cleanup(func() { must(db.Close()) })
	for _, name := range []string{"alice", "bob"} {
		must(db.Accounts().InsertUser(t.Context(), account.User{Name: name, Sandbox: box}))
	}
	events, err := triggers.New(triggers.Options{Store: db.Runs()})
	must(err)
	options := transfer.Options{
		Store: db.Transfers(), Emitter: events, Accounts: account.New(db.Accounts(), account.Options{}), SealKey: [32]byte{1},
	}
	for _, c := range change {
		c(&options)
	}
	engine, err := transfer.New(options)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- engine.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(<-served)
	})
	d := Deps{Engine: engine}
	return &sending{calls{t, api.NewRegistry(slices.Concat(destinationCommands(d), manifestCommands(d), transferCommands(d))...)}, engine, db.Accounts()}
}

// made makes a destination, a manifest and a transfer of alice and returns
// their ids.
func (s *sending) made() (destination, manifest, transferID string) {
	s.t.Helper()
	_, d := s.ok("alice", "send.createDestination", transfer.DestinationParams{Address: "127.0.0.1"})
	_, m := s.ok("alice", "send.createManifest", transfer.ManifestParams{FileMappings: map[string]string{"/": "/all"}})
	destination, manifest = d["destinationId"].(string), m["manifestId"].(string)
	s.ok("alice", "send.waitForManifest", waitForManifestParams{getManifestParams{manifest}, api.WaitParams{TimeoutSeconds: 60}})
	_, x := s.ok("alice", "send.createTransfer", createTransferParams{
		Params: transfer.Params{ManifestID: manifest, DestinationID: destination, Username: "bob", Priority: 100, Conflict: "overwrite", OnError: "stop", Compression: "auto"}, Password: "hush-hush",
	})
	return destination, manifest, x["transferId"].(string)
}

func TestCreateAnswersAsTheContractSays(t *testing.T) {
	s := newSending(t)
	out, m := s.ok("alice", "send.createManifest", transfer.ManifestParams{FileMappings: map[string]string{"/a": "/a"}})
	if out.Message != "Manifest requested." || out.Status != 201 || out.Location != "/send/manifests/"+m["manifestId"].(string) {
		t.Errorf("createManifest: %+v", out)
	}
	for name, want := range map[string]any{
		"status": "pending", "processing": true, "totalFiles": nil, "totalSize": nil, "errorMessage": nil, "owner": "alice",
	} {
		if got, there := m[name]; !there || got != want {
			t.Errorf("createManifest: %s is %v, want %v", name, got, want)
		}
	}
	p := transfer.DestinationParams{Address: "127.0.0.1:9000"}
	out, d := s.ok("alice", "send.createDestination", p)
	if out.Status != 201 || d["destinationAddress"] != "127.0.0.1" || d["destinationPort"] != 9000.0 {
		t.Errorf("createDestination: %d %v", out.Status, d)
	}
	if out, again := s.ok("alice", "send.createDestination", p); out.Status != 200 || out.Location != "" || again["destinationId"] != d["destinationId"] {
		t.Errorf("createDestination again: %d %v", out.Status, again)
	}
	other := 9001
	p.Port = &other
	s.refused(api.CodeInvalid, "alice", "send.createDestination", p)

	_, _, id := s.made()
	out, x := s.ok("alice", "send.getTransfer", getTransferParams{id})
	if strings.Contains(string(out.Result), "hush") || x["status"] != "pending" || x["endTime"] != nil || x["username"] != "bob" {
		t.Errorf("getTransfer: %s", out.Result)
	}
}

func TestChecksumIsForChangedOnly(t *testing.T) {
	s := newSending(t)
	destination, manifest, _ := s.made()
	for _, conflict := range []string{"overwrite", "update", "skip", "rename", "fail"} {
		s.refused(api.CodeInvalid, "alice", "send.createTransfer", createTransferParams{
			Params: transfer.Params{ManifestID: manifest, DestinationID: destination, Username: "bob", Conflict: conflict, Checksum: true}, Password: "p",
		})
	}
	if _, x := s.ok("alice", "send.createTransfer", createTransferParams{
		Params: transfer.Params{ManifestID: manifest, DestinationID: destination, Username: "bob", Conflict: "changed", Checksum: true}, Password: "p",
	}); x["checksum"] != true {
		t.Errorf("the transfer is %v", x)
	}
}

func TestObjectsOfOthersAreNotFound(t *testing.T) {
	s := newSending(t)
	destination, manifest, id := s.made()
	d, m, x := getDestinationParams{destination}, getManifestParams{manifest}, getTransferParams{id}
	calls := []struct {
		name   string
		params any
	}{
		{"send.getDestination", d},
		{"send.getManifest", m},
		{"send.waitForManifest", waitForManifestParams{m, api.WaitParams{}}},
		{"send.getManifestFiles", getManifestFilesParams{m, api.ListParams{Limit: 1}, false}},
		{"send.getTransfer", x},
		{"send.waitForTransfer", waitForTransferParams{x, api.WaitParams{}}},
		{"send.createTransfer", createTransferParams{Params: transfer.Params{ManifestID: manifest, DestinationID: destination, Username: "u"}, Password: "p"}},
		{"send.cancelTransfer", x},
		{"send.updateDestination", updateDestinationParams{getDestinationParams: d}},
		{"send.deleteManifest", deleteManifestParams{m, true}},
		{"send.deleteDestination", deleteDestinationParams{d, true}},
	}
	for _, c := range calls {
		s.refused(api.CodeNotFound, "bob", c.name, c.params)
	}
	for _, c := range calls { // a superuser may everything
		if _, _, err := s.as("root", c.name, c.params); err != nil {
			t.Errorf("%s as a superuser: %v", c.name, err)
		}
	}
	for _, c := range calls { // and now they are gone, but for the transfer
		if !strings.Contains(c.name, "Transfer") || c.name == "send.createTransfer" {
			s.refused(api.CodeNotFound, "root", c.name, c.params)
		}
	}
	s.refused(api.CodeConflict, "alice", "send.cancelTransfer", x)
	remove := deleteTransferParams{x, false}
	s.refused(api.CodeNotFound, "bob", "send.deleteTransfer", remove)
	s.ok("alice", "send.deleteTransfer", remove)
	s.refused(api.CodeNotFound, "alice", "send.getTransfer", x)
	s.refused(api.CodeNotFound, "root", "send.deleteTransfer", remove)
}

func TestWhatASuperuserSendsBelongsToTheManifestsOwner(t *testing.T) {
	s := newSending(t)
	destination, manifest, _ := s.made()
	p := createTransferParams{Params: transfer.Params{ManifestID: manifest, DestinationID: destination, Username: "u"}, Password: "p"}
	if _, x := s.ok("root", "send.createTransfer", p); x["owner"] != "alice" {
		t.Errorf("the transfer belongs to %v", x["owner"])
	}
	// The token of a launch script that acts as no user sees everything and
	// owns nothing.
	s.ok("", "send.getManifest", getManifestParams{manifest})
	s.refused(api.CodeInvalid, "", "send.createManifest", transfer.ManifestParams{FileMappings: map[string]string{"/a": "/a"}})
	s.refused(api.CodeInvalid, "", "send.createDestination", transfer.DestinationParams{Address: "h"})
}

func TestListsGoOnByCursor(t *testing.T) {
	s := newSending(t)
	want := map[string][]string{}
	for i := range 7 {
		user := []string{"alice", "bob"}[i%2]
		_, d := s.ok(user, "send.createDestination", transfer.DestinationParams{Address: fmt.Sprintf("127.0.0.%d", i+1)})
		_, m := s.ok(user, "send.createManifest", transfer.ManifestParams{FileMappings: map[string]string{"/a": "/a"}})
		manifest := getManifestParams{m["manifestId"].(string)}
		s.ok(user, "send.waitForManifest", waitForManifestParams{manifest, api.WaitParams{TimeoutSeconds: 60}})
		_, x := s.ok(user, "send.createTransfer", createTransferParams{
			Params: transfer.Params{ManifestID: manifest.ManifestID, DestinationID: d["destinationId"].(string), Username: "u"}, Password: "p",
		})
		for key, id := range map[string]any{"destinations": d["destinationId"], "manifests": m["manifestId"], "transfers": x["transferId"]} {
			want[key] = append([]string{user + " " + id.(string)}, want[key]...)
		}
	}
	names := map[string]string{"destinations": "destinationId", "manifests": "manifestId", "transfers": "transferId"}
	params := map[string]func(l api.ListParams, owner string) (string, any){
		"destinations": func(l api.ListParams, owner string) (string, any) {
			return "send.getDestinations", getDestinationsParams{l, ownerParam{owner}, ""}
		},
		"manifests": func(l api.ListParams, owner string) (string, any) {
			return "send.getManifests", getManifestsParams{l, ownerParam{owner}, "", ""}
		},
		"transfers": func(l api.ListParams, owner string) (string, any) {
			return "send.getTransfers", getTransfersParams{ListParams: l, ownerParam: ownerParam{owner}}
		},
	}
	for key, build := range params {
		for _, c := range []struct{ caller, owner, sees string }{
			{"root", "", ""}, {"root", "bob", "bob"}, {"root", "BOB", "bob"},
			{"alice", "", "alice"}, {"alice", "alice", "alice"}, {"alice", "Alice", "alice"},
		} {
			var got, expected []string
			for _, w := range want[key] {
				if strings.HasPrefix(w, c.sees) {
					expected = append(expected, w)
				}
			}
			for l := (api.ListParams{Limit: 2}); ; {
				name, p := build(l, c.owner)
				_, page := s.ok(c.caller, name, p)
				for _, v := range page[key].([]any) {
					o := v.(map[string]any)
					got = append(got, o["owner"].(string)+" "+o[names[key]].(string))
				}
				if page["nextCursor"] == nil {
					break
				}
				l.Cursor = page["nextCursor"].(string)
			}
			if !slices.Equal(got, expected) {
				t.Errorf("%s for %s with owner %q: %q, want %q", key, c.caller, c.owner, got, expected)
			}
		}
		for _, bad := range []string{"x", "!!", "LTE", "MA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"} {
			name, p := build(api.ListParams{Limit: 2, Cursor: bad}, "")
			s.refused(api.CodeInvalid, "alice", name, p)
		}
		name, p := build(api.ListParams{Limit: 2}, "bob")
		s.refused(api.CodeForbidden, "alice", name, p)
		name, p = build(api.ListParams{Limit: 2}, "nobody")
		if _, page := s.ok("root", name, p); page[key] == nil || len(page[key].([]any)) != 0 {
			t.Errorf("an empty list is written %v", page[key])
		}
	}
	if _, page := s.ok("root", "send.getTransfers", getTransfersParams{ListParams: api.ListParams{Limit: 9}, Status: "complete"}); len(page["transfers"].([]any)) != 0 {
		t.Errorf("the status filter lets through %v", page["transfers"])
	}
}

func TestManifestFilesGoOnByCursor(t *testing.T) {
	s := newSending(t)
	_, manifest, _ := s.made()
	p := getManifestFilesParams{getManifestParams{manifest}, api.ListParams{Limit: 2}, false}
	_, first := s.ok("alice", "send.getManifestFiles", p)
	p.Cursor, _ = first["nextCursor"].(string)
	_, second := s.ok("alice", "send.getManifestFiles", p)
	got := fmt.Sprint(first["files"], second["files"], second["nextCursor"])
	const want = "[map[destPath:/all/a fileSize:1 isEmptyDir:false srcPath:/a] map[destPath:/all/b fileSize:1 isEmptyDir:false srcPath:/b]] " +
		"[map[destPath:/all/c fileSize:1 isEmptyDir:false srcPath:/c]] <nil>"
	if got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

func TestParametersDoNotCollideWithFlags(t *testing.T) {
	for _, c := range Commands(Deps{}).All() {
		for _, f := range c.Params {
			if slices.Contains([]string{"host", "api-control-port", "user", "tls", "ca"}, f.Name) {
				t.Errorf("%s: the command line has a flag %s of its own", c.Name, f.Name)
			}
		}
	}
}
