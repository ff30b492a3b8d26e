package sender_test

import (
	"context"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/transfer"
	"jetstream/internal/transfertest"
)

// beside changes the accounts of a running site by another service than its
// own, which tells that nothing.
func (s *site) beside(change func(context.Context, *account.Service) error) {
	s.T.Helper()
	if err := change(s.T.Context(), account.New(s.DB.Accounts(), account.Options{})); err != nil {
		s.T.Fatal(err)
	}
}

// A transfer ends when its owner is removed or disabled, whether it is running
// or waits for its receiver.
func TestTransferEndsWithItsOwner(t *testing.T) {
	remove := func(ctx context.Context, s *account.Service) error { return s.Delete(ctx, "bob") }
	for name, c := range map[string]struct {
		change func(context.Context, *account.Service) error
		want   string
	}{
		"removed": {remove, "user bob, whose files these are, was removed"},
		"disabled": {func(ctx context.Context, s *account.Service) error {
			yes := true
			_, err := s.Update(ctx, "bob", account.Change{Disabled: &yes})
			return err
		}, "user bob, whose files these are, was disabled"},
		"made anew": {func(ctx context.Context, s *account.Service) error {
			if err := remove(ctx, s); err != nil {
				return err
			}
			_, err := s.Create(ctx, account.NewUser{Name: "bob", Password: transfertest.BobsPassword})
			return err
		}, "whose files these are, was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newSite(t), newSite(t)
			tr := halfway(t, a, b)
			a.beside(c.change)
			failsAtBoth(t, a, b, tr, c.want)
		})
		t.Run(name+" while it waits", func(t *testing.T) {
			t.Parallel()
			a, b := newSite(t), newSite(t)
			a.write("src/file", 10)
			b.Stop()
			tr := a.send(b, job{})
			a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
			a.beside(c.change)
			fails(t, a, tr, c.want)
		})
	}
}
