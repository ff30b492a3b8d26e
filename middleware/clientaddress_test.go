package middleware

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// addressOf is the client's address of a request from remote with these lines of
// X-Forwarded-For, where 192.0.2.1, 10/8 and fd00::/8 are trusted.
func addressOf(remote string, forwarded ...string) (found string) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr, r.Header[forwardedHeader] = remote, forwarded
	ClientAddress(trusted...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { found = RemoteIP(r) })).ServeHTTP(httptest.NewRecorder(), r)
	return found
}

func TestClientAddress(t *testing.T) {
	for _, tt := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:80", nil, "192.0.2.1"},
		{"192.0.2.1:80", []string{""}, "192.0.2.1"},
		{"192.0.2.1:80", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:192.0.2.1]:80", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"192.0.2.2:80", []string{"198.51.100.7"}, "192.0.2.2"},
		{"192.0.2.1:80", []string{"203.0.113.9,198.51.100.7 , 10.0.0.1"}, "198.51.100.7"},
		{"192.0.2.1:80", []string{"203.0.113.9", "198.51.100.7", "10.0.0.1"}, "198.51.100.7"},
		{"192.0.2.1:80", []string{"203.0.113.9, 198.51.100.7, 192.0.2.2"}, "192.0.2.2"},
		{"192.0.2.1:80", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"192.0.2.1:80", []string{"203.0.113.9, unknown"}, "192.0.2.1"},
		{"192.0.2.1:80", []string{"203.0.113.9, , 10.0.0.2"}, "10.0.0.2"},
		{"192.0.2.1:80", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"192.0.2.1:80", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"192.0.2.1:80", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"[fd00::1%eth0]:80", []string{"2001:db8::7%x"}, "2001:db8::7"},
		{"uid 0", []string{"198.51.100.7"}, "uid 0"},
	} {
		if got := addressOf(tt.remote, tt.forwarded...); got != tt.want {
			t.Errorf("from %s with %q: %s, want %s", tt.remote, tt.forwarded, got, tt.want)
		}
	}
}

// FuzzClientAddress: whatever the header says, a stranger keeps the address of the
// connection, and a client behind a proxy has an address that the header names last.
func FuzzClientAddress(f *testing.F) {
	f.Add("203.0.113.9", "198.51.100.7")
	f.Add("[::1", "10.0.0.1, 10.0.0.2,,")
	f.Fuzz(func(t *testing.T, invented, appended string) {
		if got := addressOf("192.0.2.99:80", invented, appended); got != "192.0.2.99" {
			t.Errorf("a stranger with %q, %q is %q", invented, appended, got)
		}
		if got := addressOf("192.0.2.1:80", invented, "198.51.100.7"); got != "198.51.100.7" {
			t.Errorf("behind %q the client is %q", invented, got)
		}
		got := addressOf("192.0.2.1:80", appended)
		if addr, err := netip.ParseAddr(got); err != nil || got != "192.0.2.1" && !slices.ContainsFunc(strings.Split(appended, ","), func(hop string) bool {
			a, ok := parseAddress(strings.TrimSpace(hop))
			return ok && a == addr
		}) {
			t.Errorf("with %q the client is %q: %v", appended, got, err)
		}
	})
}
