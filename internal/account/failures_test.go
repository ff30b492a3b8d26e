package account

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"jetstream/internal/api"
)

func TestAddressIsSlowedWhateverTheUser(t *testing.T) {
	for name, address := range map[string]func(i int) string{
		"port":       func(i int) string { return fmt.Sprintf("192.0.2.1:%d", i+1) },
		"mapped":     func(i int) string { return []string{"192.0.2.1", "[::ffff:192.0.2.1]:7"}[i%2] },
		"IPv6 /64":   func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i+1) },
		"zone":       func(i int) string { return fmt.Sprintf("fe80::1%%eth%d", i) },
		"no address": func(int) string { return "@" },
	} {
		f, now := newFailures(), time.Unix(1_800_000_000, 0)
		for i := range addressBurst {
			if err := f.charge(fmt.Sprint("user", i), address(i), now); err != nil {
				t.Fatalf("%s: guess %d: %v", name, i, err)
			}
		}
		if err := f.charge("other", address(99), now); !errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) {
			t.Errorf("%s: guess %d was welcome (%v)", name, addressBurst, err)
		}
		if err := f.check("other", "203.0.113.9", now); err != nil {
			t.Errorf("%s: another address was slowed: %v", name, err)
		}
		if err := f.check("other", address(99), now.Add(addressInterval)); err != nil {
			t.Errorf("%s: not welcome after the interval: %v", name, err)
		}
		if err := f.check("other", address(99), now.Add(-time.Hour)); !errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) || api.ErrorOf(err).RetryAfter > addressInterval {
			t.Errorf("%s: a clock set back freed the guesser, or locked the address out for long (%v)", name, err)
		}
	}
}

func TestSuccessfulLoginIsNotCounted(t *testing.T) {
	f, now := newFailures(), time.Unix(1_800_000_000, 0)
	for range 10 * addressBurst {
		if err := f.charge("bob", "192.0.2.1", now); err != nil {
			t.Fatal(err)
		}
		f.refund("bob", "192.0.2.1")
	}
	if len(f.users.levels)+len(f.addresses.levels) != 0 {
		t.Error("right guesses are remembered")
	}
}

func TestFailuresAreBounded(t *testing.T) {
	f, now := newFailures(), time.Unix(1_800_000_000, 0)
	for range userBurst {
		if err := f.charge("bob", "192.0.2.1", now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxMeters + 100 {
		if err := f.charge(fmt.Sprint("user", i), fmt.Sprintf("10.%d.%d.1", i>>8, i&255), now); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.users.levels) > maxMeters || len(f.addresses.levels) > maxMeters {
		t.Errorf("%d users and %d addresses are remembered", len(f.users.levels), len(f.addresses.levels))
	}
	if err := f.check("bob", "203.0.113.9", now); !errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) {
		t.Errorf("a flood of other names made us forget the attacked one (%v)", err)
	}
}
