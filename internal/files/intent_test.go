//go:build unix

package files_test

import (
	"context"
	"errors"
	"testing"

	"jetstream/internal/api"
)

// intent is an Idempotency-Key.
type intent struct {
	saved, before bool
	err           error
}

func (*intent) Announce(api.Outcome) {}
func (i *intent) Intend(context.Context) error {
	i.saved = i.err == nil
	return i.err
}
func (i *intent) Intended() bool { return i.before }

// TestMakeDirWithAKey: a directory is made once that is known to be saved, and a
// call that is repeated after a crash takes it for its own.
func TestMakeDirWithAKey(t *testing.T) {
	r := newRig(t, nil)
	call := func(i *intent) (made bool, err error) {
		_, made, err = r.MakeDir(api.WithKey(t.Context(), nil, i), r.principal, "/a/b")
		return made, err
	}
	full := errors.New("disk full")
	if _, err := call(&intent{err: full}); !errors.Is(err, full) || r.exists("a") {
		t.Errorf("an intent that cannot be saved: %v", err)
	}
	first := &intent{}
	if made, err := call(first); !made || err != nil || !first.saved {
		t.Errorf("the first call: %t, %v, intent saved: %t", made, err, first.saved)
	}
	again := &intent{before: true}
	if made, err := call(again); !made || err != nil || again.saved {
		t.Errorf("repeated after a crash: %t, %v, intent saved: %t", made, err, again.saved)
	}
	other := &intent{}
	if made, err := call(other); made || err != nil || other.saved {
		t.Errorf("another key: %t, %v, intent saved: %t", made, err, other.saved)
	}
}
