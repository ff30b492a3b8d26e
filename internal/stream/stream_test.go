package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type note struct {
	N int `json:"n" doc:"A number"`
}

var (
	happened = stream.Define[note]("thing.happened", "A thing happened.")
	other    = stream.Define[note]("thing.other", "Another thing happened.")
	moving   = stream.DefineLive[note]("thing.moving", "A thing moves.")
)

// rig is a log on a database.
type rig struct {
	*stream.Log
	t  *testing.T
	db *store.DB
}

func open(t *testing.T, dir string, change func(*stream.Options)) *rig {
	t.Helper()
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	o := stream.Options{Store: db.Entries()}
	if change != nil {
		change(&o)
	}
	l, err := stream.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{l, t, db}
}

func (r *rig) append(k stream.Kind[note], user string, n int) {
	r.t.Helper()
	if err := r.Update(r.t.Context(), func(tx stream.Tx) error { return k.Append(r.Log, tx, user, note{n}) }); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) follow(q stream.Query) *stream.Follower {
	r.t.Helper()
	f, err := r.Follow(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(f.Close)
	return f
}

// event is a parsed frame.
type event struct {
	id   int64
	typ  string
	data map[string]any
}

func parse(t *testing.T, frame []byte) (e event) {
	t.Helper()
	text, whole := strings.CutSuffix(string(frame), "\n\n")
	if !whole {
		t.Fatalf("frame %q has no end", frame)
	}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		var err error
		switch key {
		case "id":
			e.id, err = strconv.ParseInt(value, 10, 64)
		case "event":
			e.typ = value
		case "data":
			err = json.Unmarshal([]byte(value), &e.data)
		default:
			err = errors.New("no such field")
		}
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
	}
	return e
}

// read returns the next n events.
func read(t *testing.T, f *stream.Follower, n int) (out []event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for len(out) < n {
		frames, err := f.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(out), n, err)
		}
		for _, frame := range frames {
			out = append(out, parse(t, frame))
		}
	}
	if len(out) != n {
		t.Fatalf("%d events came, want %d: %v", len(out), n, out)
	}
	return out
}

func ids(events []event) (out []int64) {
	for _, e := range events {
		out = append(out, e.id)
	}
	return out
}

func TestEntriesAreNumberedWithoutGaps(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, func(o *stream.Options) { o.Ring = 64 }) // so that the database is read too
	f := r.follow(stream.Query{All: true})
	const writers, each = 16, 100
	boom := errors.New("boom")
	var wg sync.WaitGroup
	kept := 0
	for w := range writers {
		for i := range each {
			if (w+i)%7 != 0 {
				kept++
			}
		}
		wg.Go(func() {
			for i := range each {
				// Transactions that fail share commits with others.
				err := r.Update(t.Context(), func(tx stream.Tx) error {
					if err := happened.Append(r.Log, tx, "", note{w*each + i}); err != nil {
						return err
					}
					if (w+i)%7 == 0 {
						return boom
					}
					return nil
				})
				if failed := (w+i)%7 == 0; failed != errors.Is(err, boom) {
					t.Errorf("update %d.%d: %v", w, i, err)
				}
			}
		})
	}
	got := read(t, f, kept)
	wg.Wait()
	for i, e := range got {
		if e.id != int64(i)+1 {
			t.Fatalf("event %d has id %d", i, e.id)
		}
	}

	// The same from the database, after any entry.
	for _, from := range []int64{0, 1, int64(kept) - 65, int64(kept) - 1} {
		again := ids(read(t, r.follow(stream.Query{All: true, After: &from}), kept-int(from)))
		if again[0] != from+1 || again[len(again)-1] != int64(kept) || !slices.IsSorted(again) {
			t.Errorf("after %d came %d ... %d", from, again[0], again[len(again)-1])
		}
	}

	// After a restart the numbers continue, also if no entry is left.
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir, nil)
	g := r.follow(stream.Query{All: true, After: new(int64(kept))})
	r.append(happened, "", 1)
	if e := read(t, g, 1)[0]; e.id != int64(kept)+1 {
		t.Errorf("after a restart the next id is %d, want %d", e.id, kept+1)
	}
	r.pruneAll()
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir, nil)
	g = r.follow(stream.Query{All: true})
	r.append(happened, "", 2)
	if e := read(t, g, 1)[0]; e.id != int64(kept)+2 {
		t.Errorf("after all was removed and a restart the next id is %d, want %d", e.id, kept+2)
	}
}

func (r *rig) pruneAll() {
	r.t.Helper()
	for more := true; more; {
		var err error
		if more, err = r.db.Entries().Prune(r.t.Context(), api.TimeOf(time.Now().Add(time.Hour)), 1<<40, 100); err != nil {
			r.t.Fatal(err)
		}
	}
	if left, err := r.db.Entries().Entries(r.t.Context(), 0, 10); err != nil || len(left) > 0 {
		r.t.Fatalf("entries are left: %v, %v", left, err)
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	for i := range 25 {
		r.append(happened, "", i)
	}
	long := api.TimeOf(time.Now().Add(-time.Hour))
	calls := 0
	for more := true; more; calls++ {
		var err error
		if more, err = r.db.Entries().Prune(t.Context(), long, 10, 4); err != nil {
			t.Fatal(err)
		}
	}
	left, err := r.db.Entries().Entries(t.Context(), 0, 100)
	if err != nil || len(left) != 10 || left[0].ID != 16 {
		t.Fatalf("%d entries are left, want the newest 10 (%v)", len(left), err)
	}
	if calls != 4 {
		t.Errorf("15 entries went in %d steps of 4", calls)
	}
	if more, err := r.db.Entries().Prune(t.Context(), long, 1000, 4); more || err != nil {
		t.Errorf("what may stay: %t, %v", more, err)
	}
}

func TestMissingEntriesGiveAReset(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, nil)
	for i := range 20 {
		r.append(happened, "", i)
	}
	if _, err := r.db.Entries().Prune(t.Context(), 0, 5, 100); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir, nil)
	for _, id := range []int64{0, 14, 21, 1 << 40} {
		f := r.follow(stream.Query{All: true, After: &id})
		e := read(t, f, 1)[0]
		if e.typ != stream.ResetType || e.id != 20 || e.data["oldestId"] != 16.0 || e.data["lastId"] != 20.0 {
			t.Errorf("after %d came %+v, want a reset to 20 that names 16 as the oldest", id, e)
		}
		if f.Last() != 20 {
			t.Errorf("after the reset it goes on after %d", f.Last())
		}
	}
	if got := ids(read(t, r.follow(stream.Query{All: true, After: new(int64(15))}), 5)); got[0] != 16 {
		t.Errorf("the oldest that is kept comes as %v", got)
	}
	f := r.follow(stream.Query{All: true, After: new(int64(3))})
	r.append(happened, "", 99)
	if got := read(t, f, 1); got[0].typ != stream.ResetType || got[0].id != 21 {
		t.Errorf("want a reset to what is the newest now, got %v", got)
	}
}

func TestFollowersSeeOnlyTheirOwnEntries(t *testing.T) {
	r := open(t, t.TempDir(), func(o *stream.Options) {
		o.Types = []string{happened.Type, other.Type, moving.Type}
	})
	all, alice := r.follow(stream.Query{All: true}), r.follow(stream.Query{User: "alice"})
	nobody := r.follow(stream.Query{User: ""}) // no superuser and no name: sees nothing
	one := r.follow(stream.Query{All: true, Types: []string{other.Type}})
	r.append(happened, "alice", 1)
	r.append(happened, "bob", 2)
	r.append(other, "", 3)
	moving.Publish(r.Log, "alice", note{4})
	r.append(other, "alice", 5)
	if got := read(t, all, 5); !slices.Equal(ids(got), []int64{1, 2, 3, 0, 4}) || got[3].typ != moving.Type || got[0].data["user"] != "alice" || got[4].data["n"] != 5.0 {
		t.Errorf("a superuser saw %v", got)
	}
	if got := ids(read(t, alice, 3)); !slices.Equal(got, []int64{1, 0, 4}) {
		t.Errorf("alice saw %v", got)
	}
	if alice.Last() != 4 {
		t.Errorf("alice's place is %d", alice.Last())
	}
	if got := ids(read(t, one, 2)); !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("the filter let through %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if frames, err := nobody.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller without a name saw %s, %v", frames, err)
	}
	// From the store it is the same.
	if got := ids(read(t, r.follow(stream.Query{User: "alice", After: new(int64(0))}), 3)); got[0] != 1 || got[len(got)-1] != 4 {
		t.Errorf("from the beginning alice saw %v", got)
	}
	_, err := r.Follow(stream.Query{All: true, Types: []string{"thing.happend"}})
	if e := api.ErrorOf(err); e.Code != api.CodeInvalid || !strings.Contains(e.Message, "did you mean thing.happened?") {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestLiveEntriesAreOnlyMadeForFollowers(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	if r.Followed(moving.Type) {
		t.Error("somebody follows before anybody does")
	}
	f := r.follow(stream.Query{All: true, Types: []string{happened.Type}})
	if r.Followed(moving.Type) || !r.Followed(happened.Type) {
		t.Error("the filter of the follower does not count")
	}
	g := r.follow(stream.Query{All: true})
	if !r.Followed(moving.Type) {
		t.Error("a follower of everything does not count")
	}
	f.Close()
	g.Close()
	g.Close()
	if r.Followed(moving.Type) || r.Followed(happened.Type) {
		t.Error("closed followers count")
	}
	var none *stream.Log
	moving.Publish(none, "", note{1})
	if err := happened.Append(none, nil, "", note{1}); err != nil || none.Followed(moving.Type) {
		t.Errorf("a log that is not there: %v", err)
	}
}

func TestSlowFollowerIsDisconnected(t *testing.T) {
	r := open(t, t.TempDir(), func(o *stream.Options) { o.Ring, o.MaxLag = 16, 100 })
	slow, quick := r.follow(stream.Query{All: true}), r.follow(stream.Query{All: true})
	r.append(happened, "", 0)
	read(t, slow, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := slow.Next(ctx); !errors.Is(err, context.DeadlineExceeded) { // up to date
		t.Fatal(err)
	}
	for i := range 50 { // out of the ring, which is no harm
		r.append(happened, "", i)
	}
	if got := ids(read(t, slow, 50)); got[0] != 2 || got[49] != 51 {
		t.Fatalf("a follower that fell out of the ring went on with %d ... %d", got[0], got[49])
	}
	for i := range 200 {
		r.append(happened, "", i)
		if i == 0 {
			read(t, quick, 52)
		} else {
			read(t, quick, 1)
		}
	}
	ctx2, cancel2 := context.WithTimeout(t.Context(), time.Minute)
	defer cancel2()
	if _, err := slow.Next(ctx2); !errors.Is(err, stream.ErrSlow) {
		t.Fatalf("a follower 200 entries behind got %v, want ErrSlow", err)
	}
	if got := ids(read(t, r.follow(stream.Query{All: true, After: new(slow.Last())}), 200)); got[0] != 52 {
		t.Errorf("it came again and got %d first", got[0])
	}
}

func TestCloseDeliversTheRemainingEntries(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	f := r.follow(stream.Query{All: true})
	waiting := r.follow(stream.Query{User: "alice"})
	ended := make(chan error, 1)
	go func() {
		_, err := waiting.Next(context.Background())
		ended <- err
	}()
	r.append(happened, "", 1)
	r.Close()
	read(t, f, 1)
	if _, err := f.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the last entry: %v", err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("one who waited: %v", err)
	}
	if _, err := r.Follow(stream.Query{All: true}); api.ErrorOf(err).Code != api.CodeUnavailable {
		t.Errorf("one who comes now: %v", err)
	}
	r.append(happened, "", 2) // is still taken
}

func TestFollowersAreBounded(t *testing.T) {
	r := open(t, t.TempDir(), func(o *stream.Options) { o.MaxFollowers = 4 })
	refused := func(user string) bool {
		f, err := r.Follow(stream.Query{User: user})
		if err == nil {
			t.Cleanup(f.Close)
			return false
		}
		if e := api.ErrorOf(err); e.Code != api.CodeTooManyRequests || e.RetryAfter == 0 {
			t.Errorf("%v", err)
		}
		return true
	}
	var got []string
	for _, user := range []string{"a", "a", "a", "b", "c", "d"} {
		got = append(got, fmt.Sprint(user, refused(user)))
	}
	if want := "[afalse afalse atrue bfalse cfalse dtrue]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestServePrunesAndEnds(t *testing.T) {
	r := open(t, t.TempDir(), func(o *stream.Options) { o.KeepEntries = 3 })
	for i := range 10 {
		r.append(happened, "", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	pruned := make(chan error, 1)
	watched := &watch{Store: r.db.Entries(), pruned: make(chan time.Time, 8)}
	l, err := stream.New(ctx, stream.Options{Store: watched, KeepEntries: 3})
	if err != nil {
		t.Fatal(err)
	}
	go func() { pruned <- l.Serve(ctx) }()
	before := <-watched.pruned
	if age := time.Since(before); age < 7*24*time.Hour || age > 7*24*time.Hour+time.Minute {
		t.Errorf("what is older than %v goes, want 7 days", age)
	}
	cancel()
	if err := <-pruned; err != nil {
		t.Fatal(err)
	}
	left, err := r.db.Entries().Entries(t.Context(), 0, 100)
	if err != nil || len(left) != 3 || left[0].ID != 8 {
		t.Errorf("left: %d, %v", len(left), err)
	}
}

// watch is a store that reports each Prune.
type watch struct {
	stream.Store
	pruned chan time.Time
}

func (w *watch) Prune(ctx context.Context, before api.Time, keep int64, limit int) (bool, error) {
	more, err := w.Store.Prune(ctx, before, keep, limit)
	w.pruned <- before.Std()
	return more, err
}
