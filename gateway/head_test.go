package gateway

import (
	"io"
	"net/http"
	"testing"

	"jetstream/internal/api"
)

// TestHeadIsAnsweredAsGet: with the same status and headers, and a command is
// carried out and observed.
func TestHeadIsAnsweredAsGet(t *testing.T) {
	f := newFixture(t)
	for path, observed := range map[string]int{
		"/healthz": 0, "/openapi.json": 0, api.Prefix + "/open": 1, api.Prefix + "/send/fail?name=notFound": 1, api.Prefix + "/nothing": 0,
	} {
		get := f.do("ann", "GET", path, "")
		f.seen = nil
		head := f.do("ann", "HEAD", path, "")
		if head.StatusCode != get.StatusCode || len(f.seen) != observed {
			t.Errorf("%s: GET %d, HEAD %d, observed %q", path, get.StatusCode, head.StatusCode, f.seen)
		}
		for _, name := range []string{"Content-Type", "Cache-Control"} {
			if got, want := head.Header.Get(name), get.Header.Get(name); got != want {
				t.Errorf("%s: HEAD has %s %q, GET %q", path, name, got, want)
			}
		}
	}
}

// TestHeadOfTheEventStreamEnds after the headers.
func TestHeadOfTheEventStreamEnds(t *testing.T) {
	s := newStreams(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("ann", "pw")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || len(body) > 0 || err != nil {
		t.Errorf("%d %v, %d bytes, %v", res.StatusCode, res.Header, len(body), err)
	}
}
