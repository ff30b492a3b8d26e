package middleware

import (
	"errors"
	"testing"

	"jetstream/internal/api"
)

func TestUserQuota(t *testing.T) {
	q := NewUserQuota(10, "%d in use, %d by you")
	acquire := func(user string, n int, want bool) {
		t.Helper()
		err := q.Acquire(user, n)
		if (err == nil) != want || err != nil && !errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) {
			t.Fatalf("%d for %s: %v", n, user, err)
		}
	}
	acquire("ann", 3, true)
	acquire("ann", 3, false) // half of all
	acquire("ann", 2, true)
	acquire("bob", 5, true)
	acquire("cy", 1, false)
	q.Release("ann", 3)
	acquire("cy", 3, true)
	q.Release("ann", 2)
	q.Release("bob", 5)
	acquire("ann", 7, true) // more than half, for one who uses nothing
	q.Release("ann", 7)
	acquire("ann", 8, false) // more than is left
	q.Release("cy", 3)
	acquire("ann", 1000, true) // more than there is, while nobody uses any
	acquire("bob", 1, false)
	q.Release("ann", 1000)
	if len(q.byUser) != 0 || q.used != 0 {
		t.Errorf("left over: %d, %v", q.used, q.byUser)
	}
	if least := NewUserQuota(0, ""); least.total != 1 || least.perUser != 1 {
		t.Errorf("a quota of nothing: %+v", least)
	}
}
