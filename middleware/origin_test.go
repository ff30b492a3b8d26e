package middleware

import (
	"testing"

	"jetstream/internal/api"
)

func TestPagesOfOtherSitesSendNoWrites(t *testing.T) {
	for _, tt := range []struct {
		method  string
		headers []string
		passes  bool
	}{
		{"POST", nil, true}, // a program
		{"POST", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"POST", []string{"Sec-Fetch-Site", "none"}, true},
		{"POST", []string{"Origin", "http://localhost"}, true},
		{"GET", []string{"Sec-Fetch-Site", "cross-site"}, true},
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"DELETE", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"PATCH", []string{"Origin", "http://evil.example"}, false},
		{"POST", []string{"Origin", "null"}, false},
	} {
		var next reached
		res := send(SameOrigin(silent)(&next), tt.method, "/", "", tt.headers...)
		if (next.n == 1) != tt.passes {
			t.Errorf("%s with %q: %d", tt.method, tt.headers, res.StatusCode)
		}
		if !tt.passes {
			wantReply(t, res, 403, api.CodeForbidden, "another site")
		}
	}
}
