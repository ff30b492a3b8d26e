package stream_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// pages reads all pages of the log.
func (r *rig) pages(q stream.PageQuery) (ids []int64, pages int) {
	r.t.Helper()
	for {
		list, next, err := r.Page(r.t.Context(), q)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		if pages++; next == 0 {
			return ids, pages
		}
		if q.Before != 0 && next >= q.Before {
			r.t.Fatalf("from %d the next page begins at %d", q.Before, next)
		}
		q.Before = next
	}
}

func TestPagesListTheLogBackwards(t *testing.T) {
	r := open(t, t.TempDir(), func(o *stream.Options) { o.Types = []string{happened.Type, other.Type} })
	if ids, n := r.pages(stream.PageQuery{All: true, Limit: 10}); len(ids) != 0 || n != 1 {
		t.Errorf("an empty log has %v on %d pages", ids, n)
	}
	for i := range 25 {
		r.append(happened, []string{"alice", "bob", ""}[i%3], i)
	}
	middle := api.TimeOf(time.Now().Add(time.Microsecond))
	for api.Now() < middle { // the clock is what entries are stamped with
	}
	r.append(other, "alice", 25)
	all, n := r.pages(stream.PageQuery{All: true, Limit: 10})
	if len(all) != 26 || all[0] != 26 || all[25] != 1 || n != 3 {
		t.Errorf("%d pages: %v", n, all)
	}
	alice, _ := r.pages(stream.PageQuery{User: "alice", Limit: 4})
	if want := []int64{26, 25, 22, 19, 16, 13, 10, 7, 4, 1}; !slices.Equal(alice, want) {
		t.Errorf("alice sees %v, want %v", alice, want)
	}
	if got, _ := r.pages(stream.PageQuery{User: "", Limit: 10}); len(got) != 0 {
		t.Errorf("a caller without name who is no superuser sees %v", got)
	}
	if got, _ := r.pages(stream.PageQuery{All: true, Types: []string{other.Type}, Limit: 10}); !slices.Equal(got, []int64{26}) {
		t.Errorf("one type: %v", got)
	}
	if got, n := r.pages(stream.PageQuery{All: true, Since: middle, Limit: 10}); !slices.Equal(got, []int64{26}) || n != 1 {
		t.Errorf("since: %v on %d pages", got, n)
	}
	if got, _ := r.pages(stream.PageQuery{All: true, Before: 3, Limit: 1}); !slices.Equal(got, []int64{2, 1}) {
		t.Errorf("from the middle: %v", got)
	}
	_, _, err := r.Page(t.Context(), stream.PageQuery{All: true, Types: []string{"thing.happend"}, Limit: 1})
	if e := api.ErrorOf(err); e == nil || e.Code != api.CodeInvalid || !strings.Contains(e.Message, happened.Type) {
		t.Errorf("an unknown type: %v", err)
	}
	if _, err := r.db.Entries().Prune(t.Context(), api.TimeOf(time.Now().Add(time.Hour)), 10, 20); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.pages(stream.PageQuery{All: true, Limit: 4}); len(got) != 6 || got[5] != 21 {
		t.Errorf("after pruning: %v", got)
	}
	r.pruneAll()
	if got, n := r.pages(stream.PageQuery{All: true, Limit: 4}); len(got) != 0 || n != 1 {
		t.Errorf("after all was removed: %v on %d pages", got, n)
	}
}
