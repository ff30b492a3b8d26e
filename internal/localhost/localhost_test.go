package localhost_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"jetstream/internal/localhost"
)

func TestLocalhostIsDialledByItsAddresses(t *testing.T) {
	for address, want := range map[string][]string{
		"localhost:80":           {"127.0.0.1:80", "[::1]:80"},
		"LocalHost.:80":          {"127.0.0.1:80", "[::1]:80"},
		"localhost.example:80":   {"localhost.example:80"},
		"127.0.0.1:80":           {"127.0.0.1:80"},
		"an address without one": {"an address without one"},
	} {
		var dialled []string
		refused := errors.New("refused")
		dial := localhost.Dial(func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return nil, refused
		})
		if _, err := dial(t.Context(), "tcp", address); !errors.Is(err, refused) {
			t.Errorf("%s: %v", address, err)
		}
		if !slices.Equal(dialled, want) {
			t.Errorf("%s: dialled %q, want %q", address, dialled, want)
		}
	}
}

func TestServerOnIPv6OnlyIsReached(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := localhost.Dial((&net.Dialer{}).DialContext)(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
