package sender_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// dry is a dry run to an address.
type dry struct {
	manifest, to, user, password, path, conflict string
	checksum                                     bool
	key                                          string // of the receiver
	timeout                                      time.Duration
}

func (s *site) dryRun(d dry) (transfer.Plan, error) {
	s.T.Helper()
	p := transfer.DryRunParams{DryRun: true, Address: &d.to}
	if d.key != "" {
		p.PublicKey = &d.key
	}
	for field, otherwise := range map[*string]string{&d.user: "bob", &d.password: transfertest.BobsPassword} {
		if *field == "" {
			*field = otherwise
		}
	}
	t, err := s.engine.DryRun(s.T.Context(), by("bob"), transfer.Params{
		ManifestID: d.manifest, Username: d.user, DestinationPath: d.path, Conflict: d.conflict, Checksum: d.checksum,
	}, p, d.password)
	if err != nil {
		return transfer.Plan{}, err
	}
	return s.sender.DryRun(s.T.Context(), t, d.password, cmp.Or(d.timeout, patience))
}

// everything returns what the site has on disk: each file of its sandbox and of its
// database.
func (s *site) everything() map[string]string {
	s.T.Helper()
	all := map[string]string{}
	for _, dir := range []string{s.State, s.Sandbox} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(path, "-shm") {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			all[path] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano())
			if info.Mode().IsRegular() {
				b, err := os.ReadFile(path)
				all[path] += fmt.Sprintf(" %d %x", len(b), wire.Sum(b))
				return err
			}
			return nil
		})
		if err != nil {
			s.T.Fatal(err)
		}
	}
	return all
}

// unchanged runs f, which must change nothing at the sites.
func unchanged(t *testing.T, f func(), sites ...*site) {
	t.Helper()
	before := make([]map[string]string, len(sites))
	for i, s := range sites {
		before[i] = s.everything()
	}
	f()
	for i, s := range sites {
		for path, now := range s.everything() {
			if was := before[i][path]; was != now {
				t.Errorf("%s was %q and is %q", path, was, now)
			}
			delete(before[i], path)
		}
		for path := range before[i] {
			t.Errorf("%s is gone", path)
		}
	}
}

// A dry run says for each conflict what a transfer would do, and neither side keeps
// anything of it.
func TestDryRunTellsWhatWouldBeSentAndKeepsNothing(t *testing.T) {
	a, b := newSite(t), newSite(t)
	when := time.Unix(1.5e9, 0)
	put := func(s *site, name, text string, at time.Time) {
		t.Helper()
		s.put("src/"+name, []byte(text))
		if err := os.Chtimes(filepath.Join(s.Sandbox, "src", name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"same", "silent", "longer", "touched", "absent", "blocked", "sub/x"} {
		put(a, name, "new", when)
	}
	put(a, "empty", "", when)
	put(b, "same", "new", when)
	put(b, "silent", "old", when)
	put(b, "longer", "longer", when)
	put(b, "touched", "new", when.Add(time.Hour))
	put(b, "sub", "a file", when)
	b.put("src/blocked/by", nil)
	m := a.manifest(map[string]string{"/src": "/src"})

	for _, c := range []struct {
		conflict  string
		checksum  bool
		send      string
		unchanged int64
		refused   string
	}{
		{"overwrite", false, "absent empty longer same silent touched", 0, "blocked sub sub/x"},
		{"changed", false, "absent empty longer touched", 2, "blocked sub sub/x"},
		{"changed", true, "absent empty longer silent", 2, "blocked sub sub/x"},
		{"update", false, "absent empty", 4, "blocked sub sub/x"},
		{"skip", false, "absent empty", 5, "sub sub/x"},
		{"rename", false, "absent blocked empty longer same silent touched", 0, "sub sub/x"},
		{"fail", false, "absent empty", 0, "blocked longer same silent sub sub/x touched"},
	} {
		unchanged(t, func() {
			plan, err := a.dryRun(dry{manifest: m, to: b.Address, conflict: c.conflict, checksum: c.checksum})
			if err != nil {
				t.Fatalf("with %s: %v", c.conflict, err)
			}
			var send, refused []string
			for _, f := range plan.Files {
				send = append(send, strings.TrimPrefix(f.DestPath, "/src/"))
			}
			for _, f := range plan.Refused {
				refused = append(refused, strings.TrimPrefix(f.DestPath, "/src/"))
				if !strings.Contains(f.Reason, "in the way") && !strings.Contains(f.Reason, "exists already") {
					t.Errorf("%s is refused with %q", f.DestPath, f.Reason)
				}
			}
			slices.Sort(send)
			slices.Sort(refused)
			bytes := 3 * len(send)
			if slices.Contains(send, "empty") {
				bytes -= 3
			}
			got := transfer.Plan{
				DestinationPublicKey: b.Identity.PublicKey(), FilesToSend: int64(len(send)), BytesToSend: int64(bytes),
				UnchangedFiles: c.unchanged, UnchangedBytes: 3 * c.unchanged, RefusedEntries: int64(len(refused)),
				Files: plan.Files, Refused: plan.Refused, Removed: []transfer.RemovedFile{},
			}
			if !reflect.DeepEqual(plan, got) || strings.Join(send, " ") != c.send || strings.Join(refused, " ") != c.refused {
				t.Errorf("with %s (checksum %v) the plan is %+v, want to send %q and refuse %q", c.conflict, c.checksum, plan, c.send, c.refused)
			}
		}, a, b)
	}

	// A transfer does what the dry run has said; two of the files are refused when they
	// have arrived.
	tr := a.wait(a.send(b, job{conflict: "changed", checksum: true, onError: "continue"}))
	if r := b.received(tr); tr.Status != transfer.StatusError || r.FilesReceived != 4+2 || !strings.Contains(tr.ErrorMessage, "3 of 8 entries") {
		t.Errorf("it ended as %s (%s) with %d files", tr.Status, tr.ErrorMessage, r.FilesReceived)
	}
}

// Of a long list the plan names the first 1,000 of each kind. The pages are as long as
// messages may be.
func TestDryRunOfALongList(t *testing.T) {
	a, b := newSite(t), newSite(t)
	dir := "src/" + strings.Repeat("d", 250)
	for i := range 2200 {
		a.put(fmt.Sprintf("%s/%04d", dir, i), []byte("x"))
		if i < 1100 {
			b.put(fmt.Sprintf("%s/%04d", dir, i), []byte("x"))
		}
	}
	m := a.manifest(map[string]string{"/src": "/src"})
	plan, err := a.dryRun(dry{manifest: m, to: b.Address, conflict: "fail"})
	if err != nil || len(plan.Files) != 1000 || len(plan.Refused) != 1000 || !plan.MoreFiles || !plan.MoreRefused ||
		plan.FilesToSend != 1100 || plan.RefusedEntries != 1100 || !strings.HasSuffix(plan.Refused[999].Reason, "exists already at the receiver") {
		t.Errorf("the plan is %d %v %d files and %d %v %d refused (%v)",
			len(plan.Files), plan.MoreFiles, plan.FilesToSend, len(plan.Refused), plan.MoreRefused, plan.RefusedEntries, err)
	}
	if plan, err = a.dryRun(dry{manifest: m, to: b.Address, conflict: "changed", checksum: true}); err != nil || plan.UnchangedFiles != 1100 || plan.FilesToSend != 1100 {
		t.Errorf("with checksum %d files are unchanged and %d would be sent (%v)", plan.UnchangedFiles, plan.FilesToSend, err)
	}
}

// What a transfer would wait for or end with is an error of a dry run at once. No
// destination, key or state of it is kept.
func TestDryRunThatCannotBe(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/f", []byte("x"))
	b.put("file", nil)
	m := a.manifest(map[string]string{"/src": "/src"})
	ctx := t.Context()
	disabled := true
	for _, u := range []string{"off", "homeless"} {
		transfertest.Must[account.User](t)(b.Accounts.Create(ctx, account.NewUser{Name: u, Password: transfertest.BobsPassword, Sandbox: filepath.Join(b.Sandbox, u)}))
	}
	transfertest.Must[account.User](t)(b.Accounts.Update(ctx, "off", account.Change{Disabled: &disabled}))
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		dry
		code api.Code
		want string
	}{
		"wrong password":   {dry{to: b.Address, password: wrongPassword}, api.CodeConflict, "its password was refused"},
		"unknown user":     {dry{to: b.Address, user: "nobody"}, api.CodeConflict, "its password was refused"},
		"disabled user":    {dry{to: b.Address, user: "off"}, api.CodeConflict, "user off is disabled"},
		"no sandbox":       {dry{to: b.Address, user: "homeless"}, api.CodeConflict, "does not exist"},
		"a file in place":  {dry{to: b.Address, path: "/file"}, api.CodeConflict, "in the way"},
		"outside":          {dry{to: b.Address, path: "/../x"}, api.CodeInvalid, "must not contain .."},
		"unreachable":      {dry{to: "127.0.0.1:1"}, api.CodeUnavailable, "cannot be reached: "},
		"another key":      {dry{to: b.Address, key: a.Identity.PublicKey()}, api.CodeConflict, "has changed"},
		"no answer":        {dry{to: liar(t, id, untilEnd), timeout: 100 * time.Millisecond}, api.CodeTimeout, "100ms"},
		"it breaks":        {dry{to: liar(t, id, func(c *wire.Conn) { c.Abort() })}, api.CodeUnavailable, "did not go on"},
		"resume elsewhere": {dry{to: liar(t, id, answers(wire.TypeResume, wire.Resume{Index: 1}))}, api.CodeConflict, "entry 1"},
		"skip unasked": {dry{to: liar(t, id, answers(wire.TypeResume, wire.Resume{AnswersSkip: true}, wire.TypeSkip, wire.Skip{Indices: []int64{1}}))},
			api.CodeConflict, "skip entry 1"},
		"refuse unasked": {dry{to: liar(t, id, answers(wire.TypeResume, wire.Resume{AnswersSkip: true}, wire.TypeRefused, wire.Refused{Index: 7}))},
			api.CodeConflict, "refuses entry 7"},
		"an early end": {dry{to: liar(t, id, answers(wire.TypeResume, wire.Resume{AnswersSkip: true}, wire.TypeOutcome, wire.Outcome{Status: "complete"}))},
			api.CodeConflict, "before it knows"},
		"progress": {dry{to: liar(t, id, answers(wire.TypeResume, wire.Resume{AnswersSkip: true}, wire.TypeProgress, wire.Progress{}))},
			api.CodeConflict, "out of place"},
	}
	if os.Geteuid() != 0 {
		transfertest.Must[account.User](t)(b.Accounts.Create(ctx, account.NewUser{Name: "reader", Password: transfertest.BobsPassword, Sandbox: t.TempDir()}))
		u, _ := b.Accounts.User(ctx, "reader")
		if err := os.Chmod(u.Sandbox, 0o500); err != nil {
			t.Fatal(err)
		}
		cases["read only"] = struct {
			dry
			code api.Code
			want string
		}{dry{to: b.Address, user: "reader"}, api.CodeConflict, "permission denied"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.manifest = m
			unchanged(t, func() {
				_, err := a.dryRun(c.dry)
				if e := api.ErrorOf(err); err == nil || e.Code != c.code || !strings.Contains(e.Message, c.want) || strings.Contains(e.Message, "trying again") {
					t.Errorf("it ended with %v, want %s ...%s...", err, c.code, c.want)
				}
			}, a, b)
		})
	}
	if _, err := a.dryRun(dry{manifest: api.NewID(), to: b.Address}); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("without a manifest it ended with %v", err)
	}
}

// answers sends messages, each behind its type, then reads to the end.
func answers(messages ...any) func(*wire.Conn) {
	return func(conn *wire.Conn) {
		for m := range slices.Chunk(messages, 2) {
			_ = conn.Send(m[0].(wire.Type), m[1])
		}
		untilEnd(conn)
	}
}

// A destination that is known gives its address and its key.
func TestDryRunToAKnownDestination(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/f", []byte("x"))
	m := a.manifest(map[string]string{"/src": "/src"})
	key := a.Identity.PublicKey() // not that of b
	d, _, err := a.engine.CreateDestination(t.Context(), by("bob"), transfer.DestinationParams{Address: b.Address, PublicKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.dryRun(dry{manifest: m, to: b.Address}); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("a pinned key did not count: %v", err)
	}
	none := ""
	if _, err := a.engine.UpdateDestination(t.Context(), by("bob"), d.DestinationID, transfer.DestinationChange{PublicKey: &none}); err != nil {
		t.Fatal(err)
	}
	unchanged(t, func() {
		p := transfer.Params{ManifestID: m, DestinationID: d.DestinationID, Username: "bob"}
		tr, err := a.engine.DryRun(t.Context(), by("bob"), p, transfer.DryRunParams{DryRun: true}, transfertest.BobsPassword)
		if err != nil || tr.TransferID != "" || tr.TotalFiles != 1 {
			t.Fatalf("the transfer would be %+v (%v)", tr, err)
		}
		plan, err := a.sender.DryRun(t.Context(), tr, transfertest.BobsPassword, patience)
		if err != nil || plan.FilesToSend != 1 || plan.DestinationPublicKey != b.Identity.PublicKey() {
			t.Errorf("the plan is %+v (%v)", plan, err)
		}
	}, a, b)
}
