package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

const home = "192.0.2.1:40000"

// counted counts the hashes that s computes.
func counted(s *account.Service) *atomic.Int64 {
	var n atomic.Int64
	s.ObserveHashes(func() { n.Add(1) })
	return &n
}

func TestHashIsArgon2idInPHCForm(t *testing.T) {
	s, _ := newService(t, account.Options{})
	one := mustCreate(t, s, account.NewUser{Name: "a", Password: "same"})
	two := mustCreate(t, s, account.NewUser{Name: "b", Password: "same"})
	if !strings.HasPrefix(one.Hash, "$argon2id$v=19$m=19456,t=2,p=1$") || one.Hash == two.Hash || strings.Contains(one.Hash, "same") {
		t.Errorf("hashes %q and %q", one.Hash, two.Hash)
	}
	if err := account.CheckHash(one.Hash); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "$", "plain", strings.Replace(one.Hash, "argon2id", "argon2i", 1),
		strings.Replace(one.Hash, "m=19456", "m=4294967295", 1), strings.Replace(one.Hash, "t=2", "t=0", 1),
		strings.Replace(one.Hash, "t=2", "t=4000000000", 1), strings.Replace(one.Hash, "p=1", "p=0", 1),
		one.Hash + "$", one.Hash[:len(one.Hash)-30], one.Hash[:30]} {
		if account.CheckHash(bad) == nil {
			t.Errorf("stored hash %q was taken", bad)
		}
	}
}

// Message and work of a failed login do not depend on whether the user exists.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "right"})
	mustCreate(t, s, account.NewUser{Name: "off", Password: "right", Disabled: true})
	n := counted(s)
	var messages []string
	for _, c := range [][2]string{{"bob", "wrong"}, {"bob", ""}, {"off", "wrong"}, {"nobody", "wrong"}, {"nobody", ""}, {"", ""}, {"../x", "right"},
		{"bob", strings.Repeat("x", 5000)}, {"nobody", strings.Repeat("x", 5000)}} {
		before := n.Load()
		_, err := s.Login(t.Context(), c[0], c[1], home)
		messages = append(messages, wantCode(t, err, api.CodeUnauthorized))
		if n.Load() != before+1 {
			t.Errorf("%q cost %d hashes, want 1", c, n.Load()-before)
		}
	}
	for _, m := range messages {
		if m != messages[0] {
			t.Errorf("messages %q and %q tell users apart", messages[0], m)
		}
	}
}

func TestProofSparesTheHashUntilItEnds(t *testing.T) {
	s, clock := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "Bob", Password: "right"})
	n := counted(s)
	login := func(name, password string) error {
		u, err := s.Login(t.Context(), name, password, home)
		if err == nil && u.Name != "Bob" {
			t.Errorf("Login made %q of Bob", u.Name)
		}
		return err
	}
	for range 3 {
		if err := errors.Join(login("Bob", "right"), login("bob", "right")); err != nil {
			t.Fatal(err)
		}
	}
	if n.Load() != 1 {
		t.Errorf("6 logins cost %d hashes, want 1", n.Load())
	}
	wantCode(t, login("bob", "right "), api.CodeUnauthorized)
	if n.Load() != 2 {
		t.Errorf("a wrong password beside a proof cost %d hashes, want 1", n.Load()-1)
	}
	clock.Add(account.ProofLife)
	if err := login("bob", "right"); err != nil || n.Load() != 3 {
		t.Errorf("after the proof's life: %v, %d hashes", err, n.Load())
	}
}

// The changes are made by another service on the same database.
func TestProofEndsWithThePassword(t *testing.T) {
	accounts := openStore(t, t.TempDir())
	server := account.New(accounts, account.Options{})
	cli := account.New(accounts, account.Options{})
	mustCreate(t, cli, account.NewUser{Name: "bob", Password: "old"})
	login := func(password string) error {
		_, err := server.Login(t.Context(), "bob", password, home)
		return err
	}
	if err := login("old"); err != nil {
		t.Fatal(err)
	}
	if err := cli.SetPassword(t.Context(), "bob", "new"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, login("old"), api.CodeUnauthorized)
	if err := login("new"); err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	if _, err := cli.Update(t.Context(), "bob", account.Change{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if m := wantCode(t, login("new"), api.CodeUnauthorized); !strings.Contains(m, "disabled") {
		t.Errorf("message %q does not tell its user why", m)
	}
	if _, err := cli.Update(t.Context(), "bob", account.Change{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	if err := login("new"); err != nil {
		t.Fatal(err)
	}
	if err := cli.Delete(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, login("new"), api.CodeUnauthorized)
	// Another bob with another password is another user.
	mustCreate(t, cli, account.NewUser{Name: "bob", Password: "third"})
	wantCode(t, login("new"), api.CodeUnauthorized)
}

// A user who sets one password after another does not block logins.
func TestNewPasswordsDoNotBlockLogins(t *testing.T) {
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "ann", Password: "p"})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "right"})
	entered, release := make(chan struct{}), make(chan struct{})
	var hashes atomic.Int64
	s.ObserveHashes(func() {
		if hashes.Add(1) == 1 {
			close(entered)
			<-release
		}
	})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := s.SetPassword(context.Background(), "ann", fmt.Sprint("new", i)); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	if _, err := s.Login(t.Context(), "bob", "right", home); err != nil {
		t.Error(err)
	}
	if n := hashes.Load(); n != 2 { // ann's first, and bob's
		t.Errorf("the login waited for %d other hashes", n-1)
	}
	close(release)
	wg.Wait()
}

func TestTwoHashesAreComputedConcurrently(t *testing.T) {
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "right"})
	entered, release := make(chan struct{}, 16), make(chan struct{})
	var running, most atomic.Int64
	s.ObserveHashes(func() {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		entered <- struct{}{}
		<-release
		running.Add(-1)
	})
	var wg sync.WaitGroup
	guess := func(i int) {
		if _, err := s.Login(context.Background(), fmt.Sprint("stranger", i), "x", fmt.Sprint("192.0.2.", i)); err == nil {
			t.Error("an unknown user could log in")
		}
	}
	for i := range 2 {
		wg.Go(func() { guess(i) })
	}
	<-entered
	<-entered
	// Both slots are taken: a call that waits ends with its context.
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	wg.Go(func() {
		_, err := s.Login(ctx, "bob", "right", home)
		left <- err
	})
	for i := range 4 {
		wg.Go(func() { guess(10 + i) })
	}
	wg.Go(func() {
		if _, err := s.Create(context.Background(), account.NewUser{Name: "new", Password: "p"}); err != nil {
			t.Error(err)
		}
	})
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting login ended with %v", err)
	}
	if len(entered) != 0 {
		t.Error("a third hash began")
	}
	close(release)
	wg.Wait()
	if most.Load() != 2 {
		t.Errorf("%d hashes ran at a time, want 2", most.Load())
	}
}

// Concurrent logins with the right password are not counted as failures.
func TestParallelRightLoginsShareTheProof(t *testing.T) {
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "right"})
	n := counted(s)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := s.Login(context.Background(), "bob", "right", home); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n.Load() > 2 {
		t.Errorf("100 logins cost %d hashes, want 2 at most", n.Load())
	}
}

func TestWrongGuessesAreSlowed(t *testing.T) {
	s, clock := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "right"})
	mustCreate(t, s, account.NewUser{Name: "eve", Password: "right"})
	if _, err := s.Login(t.Context(), "bob", "right", home); err != nil {
		t.Fatal(err)
	}
	n := counted(s)
	for i := range account.UserBurst {
		_, err := s.Login(t.Context(), "BOB", "wrong", fmt.Sprintf("198.51.100.%d:1", i))
		wantCode(t, err, api.CodeUnauthorized)
	}
	_, err := s.Login(t.Context(), "bob", "wrong", "203.0.113.1")
	wantCode(t, err, api.CodeTooManyRequests)
	if wait := api.ErrorOf(err).RetryAfter; wait <= 0 || wait > account.UserInterval {
		t.Errorf("RetryAfter = %v", wait)
	}
	if n.Load() != account.UserBurst {
		t.Errorf("%d hashes for %d welcome guesses", n.Load(), account.UserBurst)
	}
	if _, err := s.Login(t.Context(), "bob", "right", "203.0.113.1"); err != nil {
		t.Errorf("a proved password was locked out: %v", err)
	}
	if _, err := s.Login(t.Context(), "eve", "right", home); err != nil {
		t.Errorf("another user was locked out: %v", err)
	}
	clock.Add(account.UserInterval)
	_, err = s.Login(t.Context(), "bob", "wrong", home)
	wantCode(t, err, api.CodeUnauthorized)
	_, err = s.Login(t.Context(), "bob", "wrong", home)
	wantCode(t, err, api.CodeTooManyRequests)
}
