package account_test

import (
	"strings"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

func TestRunTokenActsAsItsUserWithPresentRights(t *testing.T) {
	s, clock := newService(t, account.Options{})
	sandbox := t.TempDir()
	bob := mustCreate(t, s, account.NewUser{Name: "Bob", Password: "p", Sandbox: sandbox})
	mustCreate(t, s, account.NewUser{Name: "eve", Password: "p", Superuser: true})
	token := s.IssueRunToken("Bob", false, 3)
	if user, ok := api.TokenUser(token); user != "Bob" || !ok || !strings.HasPrefix(token, api.TokenPrefix) {
		t.Errorf("TokenUser(%q) = %q, %v", token, user, ok)
	}
	for _, actAs := range []string{"", "Bob", "bob"} {
		g, err := s.ByToken(t.Context(), token, actAs)
		if want := (account.Grant{User: "Bob", Sandbox: sandbox, Since: bob.CreateTime, Depth: 3}); err != nil || g != want {
			t.Errorf("acting as %q: %+v, %v", actAs, g, err)
		}
	}
	_, err := s.ByToken(t.Context(), token, "eve")
	if m := wantCode(t, err, api.CodeUnauthorized); !strings.Contains(m, "Bob") || !strings.Contains(m, "eve") {
		t.Errorf("message %q does not name both users", m)
	}
	yes, no := true, false
	if _, err := s.Update(t.Context(), "bob", account.Change{Superuser: &yes}); err != nil {
		t.Fatal(err)
	}
	if g, err := s.ByToken(t.Context(), token, ""); err != nil || !g.Superuser {
		t.Errorf("a new right is not seen: %+v, %v", g, err)
	}
	if _, err := s.Update(t.Context(), "bob", account.Change{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	_, err = s.ByToken(t.Context(), token, "")
	wantCode(t, err, api.CodeUnauthorized)
	if _, err := s.Update(t.Context(), "bob", account.Change{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ByToken(t.Context(), token, ""); err != nil {
		t.Error(err)
	}
	s.RevokeRunToken(token)
	s.RevokeRunToken(token)
	_, err = s.ByToken(t.Context(), token, "")
	wantCode(t, err, api.CodeUnauthorized)
	gone := s.IssueRunToken("bob", false, 1)
	if err := s.Delete(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	_, err = s.ByToken(t.Context(), gone, "")
	wantCode(t, err, api.CodeUnauthorized)
	clock.Add(time.Second)
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	_, err = s.ByToken(t.Context(), gone, "")
	if m := wantCode(t, err, api.CodeUnauthorized); !strings.Contains(m, "was removed") {
		t.Errorf("with another user of the name: %q", m)
	}
}

func TestLaunchTokenMayActAsAnyUser(t *testing.T) {
	s, _ := newService(t, account.Options{})
	sandbox := t.TempDir()
	bob := mustCreate(t, s, account.NewUser{Name: "Bob", Password: "p", Sandbox: sandbox})
	mustCreate(t, s, account.NewUser{Name: "off", Password: "p", Disabled: true})
	token := s.IssueRunToken("", true, 1)
	if user, ok := api.TokenUser(token); user != "" || !ok {
		t.Errorf("TokenUser = %q, %v", user, ok)
	}
	if g, err := s.ByToken(t.Context(), token, ""); err != nil || g != (account.Grant{Superuser: true, Depth: 1}) {
		t.Errorf("nobody's grant is %+v, %v", g, err)
	}
	// As a user it has only the rights of that user.
	if g, err := s.ByToken(t.Context(), token, "bob"); err != nil || g != (account.Grant{User: "Bob", Sandbox: sandbox, Since: bob.CreateTime, Depth: 1}) {
		t.Errorf("bob's grant is %+v, %v", g, err)
	}
	for _, name := range []string{"off", "nobody", "../x"} {
		_, err := s.ByToken(t.Context(), token, name)
		wantCode(t, err, api.CodeUnauthorized)
	}
	// The token of an event without a user has no rights and cannot act as a
	// user.
	nobodys := s.IssueRunToken("", false, 1)
	for _, actAs := range []string{"", "bob"} {
		_, err := s.ByToken(t.Context(), nobodys, actAs)
		wantCode(t, err, api.CodeUnauthorized)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	mustCreate(t, s, account.NewUser{Name: "eve", Password: "p", Superuser: true})
	token, other := s.IssueRunToken("bob", false, 1), s.IssueRunToken("eve", false, 1)
	random := token[strings.LastIndexByte(token, '.'):]
	middle := other[:strings.LastIndexByte(other, '.')]
	for _, forged := range []string{"", "jst.", "jst..", token + "x", token[:len(token)-1], middle + random, "jst." + random, strings.ToUpper(token)} {
		_, err := s.ByToken(t.Context(), forged, "")
		wantCode(t, err, api.CodeUnauthorized)
	}
	for _, text := range []string{"", "jst.", "jst.Ym9i", "jst.Ym9i.", "jst.!.x", "jst.Ym9i.x.y", "xjst.Ym9i.x"} {
		if user, ok := api.TokenUser(text); ok {
			t.Errorf("TokenUser(%q) = %q", text, user)
		}
	}
}

func TestSessionEndsWithItsPasswordOrUser(t *testing.T) {
	s, clock := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	open := func() string {
		t.Helper()
		u, err := s.User(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		id, expires := s.OpenSession(u)
		if got, err := s.BySession(t.Context(), id); err != nil || got != u || !expires.Equal(clock.Now().Add(account.SessionLife)) {
			t.Fatalf("fresh session: %+v, %v, ends %v", got, err, expires)
		}
		return id
	}
	ended := func(id, why string) {
		t.Helper()
		if _, err := s.BySession(t.Context(), id); err == nil {
			t.Errorf("the session outlived %s", why)
		} else {
			wantCode(t, err, api.CodeUnauthorized)
		}
	}
	ended("", "nothing")
	id := open()
	s.CloseSession(id)
	s.CloseSession(id)
	ended(id, "its closing")

	id = open()
	clock.Add(account.SessionLife)
	ended(id, "its time")

	id = open()
	if err := s.SetPassword(t.Context(), "bob", "p"); err != nil {
		t.Fatal(err)
	}
	ended(id, "a new password, though the same")

	id = open()
	yes, no := true, false
	if _, err := s.Update(t.Context(), "bob", account.Change{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	ended(id, "disabling")
	if _, err := s.Update(t.Context(), "bob", account.Change{Disabled: &no}); err != nil {
		t.Fatal(err)
	}

	id = open()
	if err := s.Delete(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	ended(id, "its user")
}

func TestSessionsOfOneUserDoNotEvictThoseOfOthers(t *testing.T) {
	s, clock := newService(t, account.Options{})
	bob := mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	eve := mustCreate(t, s, account.NewUser{Name: "eve", Password: "p"})
	bobs, _ := s.OpenSession(bob)
	var eves []string
	for range account.MaxSessions + 1 {
		clock.Add(1)
		id, _ := s.OpenSession(eve)
		eves = append(eves, id)
	}
	if _, err := s.BySession(t.Context(), bobs); err != nil {
		t.Errorf("bob's session: %v", err)
	}
	for i, id := range eves {
		if _, err := s.BySession(t.Context(), id); (err == nil) != (i > 0) {
			t.Errorf("eve's session %d: %v", i, err)
		}
	}
	if bobs == eves[0] {
		t.Error("ids repeat")
	}
}
