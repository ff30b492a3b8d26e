package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"jetstream/internal/api"
)

func TestOnlyNamesOfTheServerPass(t *testing.T) {
	h := Hosts(silent, "Box.example", "")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, passes := range map[string]bool{
		"localhost": true, "LOCALHOST:8886": true, "127.0.0.1:1": true, "[::1]:8886": true, "[fe80::1%eth0]:80": true, "10.1.2.3": true,
		"box.example": true, "BOX.example.:8886": true,
		"": false, "evil.example": false, "box.example.evil": false, "localhost.evil": false, "127.0.0.1.evil": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if (w.Code == http.StatusOK) != passes {
			t.Errorf("host %q: %d %s", host, w.Code, w.Body)
		}
		if !passes {
			wantReply(t, w.Result(), 403, api.CodeForbidden, "--api-allowed-host")
		}
	}
}

// TestHealthWithoutHost: load balancers ask for it by HTTP/1.0, and for nothing
// else.
func TestHealthWithoutHost(t *testing.T) {
	h := Hosts(silent)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, x := range []struct {
		path, host string
		minor      int
		status     int
	}{
		{HealthPath, "", 0, 200}, {HealthPath, "", 1, 403}, {HealthPath, "evil.example", 0, 403}, {"/", "", 0, 403}, {"/api/v1/server", "", 0, 403},
	} {
		r := httptest.NewRequest(http.MethodGet, x.path, nil)
		r.Host, r.ProtoMinor = x.host, x.minor
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != x.status {
			t.Errorf("%+v: %d %s", x, w.Code, w.Body)
		}
	}
}
