package sender_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// token makes an API token of a user of the site.
func (s *site) token(user string, n account.NewAPIToken) (id, text string) {
	s.T.Helper()
	t, text, err := s.Accounts.CreateAPIToken(s.T.Context(), by(user), n)
	if err != nil {
		s.T.Fatal(err)
	}
	return t.TokenID, text
}

var mayWrite = []api.Permission{api.PermissionWrite}

// A token of the receiver's user is as good as the password, within its path.
func TestTokenInsteadOfPassword(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/1", []byte("one"))
	if err := os.MkdirAll(filepath.Join(b.Sandbox, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, all := b.token("bob", account.NewAPIToken{Permissions: mayWrite})
	complete(t, a, b, a.send(b, job{password: all}))
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))

	_, confined := b.token("bob", account.NewAPIToken{Permissions: mayWrite, Path: "/in"})
	complete(t, a, b, a.send(b, job{password: confined, path: "/in"}))
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "in", "src"))
	complete(t, a, b, a.send(b, job{password: confined, path: "/in", mappings: map[string]string{"/src": "/"}}))
	same(t, filepath.Join(a.Sandbox, "src", "1"), filepath.Join(b.Sandbox, "in", "1"))
	complete(t, a, b, a.send(b, job{password: confined, path: "/in/below/it"}))
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "in", "below", "it", "src"))
	for _, path := range []string{"/", "/inside", "/out/in"} {
		fails(t, a, a.send(b, job{password: confined, path: path}), `confined to "/in"`)
	}
	if err := os.Symlink("..", filepath.Join(b.Sandbox, "in", "up")); err != nil {
		t.Skip(err)
	}
	fails(t, a, a.send(b, job{password: confined, path: "/in/up"}), `leads outside "/in"`)
	a.noLeftovers()
	b.noLeftovers()
}

// A token is no better than it is in the API.
func TestTokensThatDoNotSend(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/1", []byte("one"))
	if _, err := b.Accounts.Create(t.Context(), account.NewUser{Name: "eve", Password: "correct horse battery", Sandbox: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	_, reads := b.token("bob", account.NewAPIToken{Permissions: []api.Permission{api.PermissionRead}})
	_, eves := b.token("eve", account.NewAPIToken{Permissions: mayWrite})
	gone, deleted := b.token("bob", account.NewAPIToken{Permissions: mayWrite})
	if err := b.Accounts.DeleteAPIToken(t.Context(), by("bob"), gone); err != nil {
		t.Fatal(err)
	}
	_, short := b.token("bob", account.NewAPIToken{Permissions: mayWrite, Expiry: api.TimeOf(time.Now().Add(time.Millisecond))})
	for name, c := range map[string]struct{ token, want string }{
		"without write": {reads, `needs the permission "write"`},
		"of another":    {eves, "belongs to user eve"},
		"deleted":       {deleted, "or its password was refused"},
		"expired":       {short, "the token has expired"},
		"mistyped":      {api.TokenPrefix + "Ym9i.AAAA", "or its password was refused"},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, a, a.send(b, job{password: c.token}), c.want)
		})
	}
}

// A transfer ends with the token that authorized it.
func TestTransferEndsWithItsToken(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/large", 4<<20)
	id, token := b.token("bob", account.NewAPIToken{Permissions: mayWrite})
	rate := int64(400) // kbit/s
	if _, _, err := a.engine.CreateDestination(t.Context(), by("bob"), transfer.DestinationParams{Address: b.Address, SendRateMax: &rate}); err != nil {
		t.Fatal(err)
	}
	tr := a.send(b, job{password: token})
	a.until(tr, "active", func(t transfer.Transfer) bool { return t.Status == transfer.StatusActive })
	if err := b.Accounts.DeleteAPIToken(t.Context(), by("bob"), id); err != nil {
		t.Fatal(err)
	}
	b.Stop() // so that the transfer is opened again
	b.start()
	fails(t, a, tr, "the token that authorized it was deleted")
	b.noLeftovers()
}
