package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/audit"
	"jetstream/internal/store"
	"jetstream/internal/stream"
)

// bench is an audit log on a database of its own.
type bench struct {
	*audit.Log
	t      *testing.T
	db     *store.DB
	stream *stream.Log
	path   string
	said   *strings.Builder
}

func newBench(t *testing.T, path string) *bench {
	t.Helper()
	b := &bench{t: t, path: path, said: &strings.Builder{}}
	var err error
	if b.db, err = store.Open(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if b.stream, err = stream.New(t.Context(), stream.Options{Store: b.db.Entries()}); err != nil {
		t.Fatal(err)
	}
	if b.Log, err = audit.Open(audit.Options{Stream: b.stream, Path: path, Log: slog.New(slog.NewTextHandler(b.said, nil))}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) close() {
	b.t.Helper()
	if err := errors.Join(b.Log.Close(), b.db.Close()); err != nil {
		b.t.Error(err)
	}
}

// line is a record as the file has it.
type line struct {
	Time api.Time
	User string
	audit.Record
}

// lines are the records of a file, each of which must be whole.
func lines(t *testing.T, path string) (list []line) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for one := range strings.Lines(string(text)) {
		var l line
		if err := json.Unmarshal([]byte(one), &l); err != nil || !strings.HasSuffix(one, "\n") || l.Time == 0 {
			t.Errorf("no record: %q: %v", one, err)
		}
		list = append(list, l)
	}
	return list
}

// stored are the records of the event log, oldest first.
func (b *bench) stored() (list []line) {
	b.t.Helper()
	entries, err := b.db.Entries().Entries(b.t.Context(), 0, 1_000_000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		var l line
		if err := json.Unmarshal(e.Data, &l); err != nil || e.Type != "audit" || e.User != "" {
			b.t.Fatalf("entry %s of %q: %s: %v", e.Type, e.User, e.Data, err)
		}
		list = append(list, l)
	}
	return list
}

func login(address string) audit.Record {
	return audit.Record{Action: audit.ActionLogin, Status: api.CodeUnauthorized, Login: api.LoginPassword, Address: address, RequestID: api.NewID()}
}

// TestEqualFailuresAreCountedByTheMinute: the first is recorded at once, the
// others of a minute as one, in the event log as in the file.
func TestEqualFailuresAreCountedByTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, filepath.Join(t.TempDir(), "audit.log"))
		defer b.close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Serve(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		want := func(counts ...int64) {
			t.Helper()
			for where, list := range map[string][]line{"file": lines(t, b.path), "event log": b.stored()} {
				var got []int64
				for _, l := range list {
					got = append(got, l.Count)
				}
				if fmt.Sprint(got) != fmt.Sprint(counts) {
					t.Errorf("the records of the %s count %d, want %d", where, got, counts)
				}
			}
		}
		fail := func(times int, address string) {
			for range times {
				b.CountStranger("alice", login(address))
			}
		}
		next := func() {
			time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
		}
		fail(100, "192.0.2.1")
		fail(1, "192.0.2.2")
		want(1, 1)
		began := api.Now()
		next()
		want(1, 1, 99)
		if last := lines(t, b.path)[2]; last.User != "alice" || last.Address != "192.0.2.1" || last.Since != began || last.Time <= began {
			t.Errorf("the record of 99: %+v, the first was at %d", last, began)
		}
		fail(3, "192.0.2.1") // which goes on
		fail(3, "192.0.2.2") // which did not come again
		want(1, 1, 99, 1)
		next()
		if got := lines(t, b.path); len(got) != 6 || got[4].Count+got[5].Count != 5 {
			t.Errorf("after the second minute: %+v", got)
		}
		next() // nothing more
		fail(1, "192.0.2.1")
		if got := lines(t, b.path); len(got) != 7 || got[6].Count != 1 || got[6].Since != 0 {
			t.Errorf("one that comes again later: %+v", got)
		}
		fail(4, "192.0.2.1")
	})
}

// TestCountedFailuresAreRecordedAtTheEnd, although the minute is not over.
func TestCountedFailuresAreRecordedAtTheEnd(t *testing.T) {
	b := newBench(t, filepath.Join(t.TempDir(), "audit.log"))
	for range 5 {
		b.CountStranger("alice", login("192.0.2.1"))
	}
	b.close()
	if got := lines(t, b.path); len(got) != 2 || got[1].Count != 4 {
		t.Errorf("%+v", got)
	}
}

// TestStrangersCannotFillTheLog: of very many different failures there are few
// records, which count them all, and a user's are told from them.
func TestStrangersCannotFillTheLog(t *testing.T) {
	b := newBench(t, filepath.Join(t.TempDir(), "audit.log"))
	const times = 1000
	for i := range times {
		b.CountStranger(api.Masked, login(fmt.Sprintf("192.0.2.%d", i)))
	}
	r := audit.Record{Action: "createUser", Status: api.CodeForbidden, Address: "198.51.100.1"}
	b.Count("alice", r)
	for i := range times {
		r.Parameters = audit.Texts("name", fmt.Sprint("user", i))
		b.Count("bob", r)
	}
	b.close()
	list := lines(t, b.path)
	counts := map[string]int64{}
	for _, l := range list {
		counts[l.User] += l.Count
	}
	if counts[api.Masked]+counts[""] != times || counts["alice"] != 1 || counts["bob"] != times || len(list) > 140 {
		t.Errorf("%d records count %v", len(list), counts)
	}
}

// TestRecordsAreBounded, and hold nothing that a terminal or a reader of lines
// takes for more than text.
func TestRecordsAreBounded(t *testing.T) {
	b := newBench(t, filepath.Join(t.TempDir(), "audit.log"))
	defer b.close()
	evil := "a\nb\u2028c\u202ed\x1b[2J\u0085e\u200f\u2066"
	b.Write("alice", audit.Record{Action: evil, Status: api.CodeSuccess, Address: strings.Repeat("x", 1<<20), RequestID: strings.Repeat("y", 1<<20),
		Parameters: audit.Texts("path", evil, "long", strings.Repeat("z", 1<<20), "full", strings.Repeat("\u2028", 1000), "empty", "")})
	text, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range strings.TrimSuffix(string(text), "\n") {
		if r < ' ' || r == '\u2028' || r == '\u202e' || r == '\u0085' || r == '\u200f' || r == '\u2066' {
			t.Errorf("%U stands in the line", r)
		}
	}
	got := lines(t, b.path)
	if len(got) != 1 || len(text) > 10_000 || got[0].Action != evil {
		t.Fatalf("%d bytes: %s", len(text), text)
	}
	var params map[string]any
	if err := json.Unmarshal(got[0].Parameters, &params); err != nil || params["path"] != evil || params["empty"] != nil {
		t.Errorf("%v %v", params, err)
	}
	if long, _ := params["long"].(map[string]any); long["truncated"] != true || long["bytes"] != float64(1<<20+2) {
		t.Errorf("long is %v", params["long"])
	}
}

// TestParametersOfARecord: secrets are masked, what the command has not is left
// out, and all together has a bound.
func TestParametersOfARecord(t *testing.T) {
	type params struct {
		Name     string `json:"name" doc:"Name"`
		Password string `json:"password" doc:"Password" secret:"true"`
		Data     string `json:"data" doc:"Data"`
	}
	type result struct {
		Name  string `json:"name" doc:"Name"`
		Token string `json:"token" doc:"Token" secret:"true"`
		Other string `json:"other" doc:"Other"`
	}
	c := api.Define(api.Spec{Name: "createThing", Method: "POST", Path: "/things", Status: 201, Summary: "Make", Message: "Made.", Location: "/things/{name}"},
		func(context.Context, params) (result, error) { return result{}, nil })
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, o := range map[string]struct {
		given map[string]json.RawMessage
		want  string
	}{
		"nothing":   {nil, `{}`},
		"a secret":  {map[string]json.RawMessage{"password": raw(`"hush"`), "name": raw(` "n" `)}, `{"name":"n","password":"***"}`},
		"a mistake": {map[string]json.RawMessage{"passwrod": raw(`"hush"`), "name": raw(`"n"`)}, `{"name":"n"}`},
		"too long":  {map[string]json.RawMessage{"data": raw(`"` + strings.Repeat("x", 5000) + `"`)}, `{"data":{"truncated":true,"bytes":5002}}`},
	} {
		if got := string(audit.Parameters(c, o.given)); got != o.want {
			t.Errorf("%s: %s, want %s", name, got, o.want)
		}
	}
	if got := string(audit.Result(c, raw(`{"name":"n","token":"hush","other":"o"}`))); got != `{"name":"n"}` {
		t.Errorf("the result: %s", got)
	}
	settings := api.Define(api.Spec{Name: "updateThings", Method: "PATCH", Path: "/things", Summary: "Set", Message: "Set.", Access: api.AccessSuperuser},
		func(context.Context, struct{}) (result, error) { return result{}, nil })
	if got := string(audit.Result(settings, raw(`{"name":"n","token":"***","other":"o"}`))); got != `{"name":"n","other":"o"}` {
		t.Errorf("the result of a superuser's command: %s", got)
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint("p", i), strings.Repeat("x", 4000))
	}
	if got := audit.Texts(many...); len(got) > 25_000 || !json.Valid(got) {
		t.Errorf("a hundred long ones have %d bytes", len(got))
	}
}

// TestRotationLosesNoLine: the file is renamed and reopened again and again while
// many write.
func TestRotationLosesNoLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	b := newBench(t, path)
	const writers, each = 8, 100
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				b.Write("alice", audit.Record{Action: "mkdir", Status: api.CodeSuccess, Parameters: audit.Texts("path", fmt.Sprintf("/%d/%d", w, i))})
			}
		})
	}
	written := make(chan struct{})
	go func() {
		group.Wait()
		close(written)
	}()
	files := []string{path}
	for rotating := true; rotating; {
		select {
		case <-written:
			rotating = false
		default:
		}
		former := fmt.Sprint(path, ".", len(files))
		if err := errors.Join(os.Rename(path, former), b.Reopen()); err != nil {
			t.Fatal(err)
		}
		files = append(files, former)
	}
	b.close()
	seen := map[string]int{}
	for _, f := range files {
		for _, l := range lines(t, f) {
			seen[string(l.Parameters)]++
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d records are in %d files", len(seen), writers*each, len(files))
	}
	for params, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", params, n)
		}
	}
}
