package middleware

import (
	"net/url"
	"testing"
)

// TestLocationLeadsThere also where a proxy has taken a path away.
func TestLocationLeadsThere(t *testing.T) {
	for _, x := range []struct{ path, target, want string }{
		{"/api/v1/send/manifests", "/api/v1/send/manifests/a%2Fb", "manifests/a%2Fb"},
		{"/api/v1/command", "/api/v1/send/manifests/1", "send/manifests/1"},
		{"/api/v1/files/directories", "/api/v1/files?path=%2Fa%3A", "../files?path=%2Fa%3A"},
		{"/api/v1/triggers/a%2Fb/emit", "/api/v1/trigger-runs/1", "../../trigger-runs/1"},
		{"/", "/api/v1/x", "api/v1/x"},
	} {
		got := relativeTo(x.path, x.target)
		if x.want != got {
			t.Errorf("from %s to %s: %s, want %s", x.path, x.target, got, x.want)
		}
		for _, prefix := range []string{"", "/jet/stream"} {
			base, err := url.Parse("https://h" + prefix + x.path)
			if err != nil {
				t.Fatal(err)
			}
			reference, err := url.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if led := base.ResolveReference(reference).String(); led != "https://h"+prefix+x.target {
				t.Errorf("from %s%s, %q leads to %s", prefix, x.path, got, led)
			}
		}
	}
}
