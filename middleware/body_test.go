package middleware

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jetstream/internal/api"
)

func TestReadObject(t *testing.T) {
	refusal := errors.New("not now")
	small := `{"a":"` + strings.Repeat("x", smallBody-8) + `"}` // as large as may be without a grant
	for name, tt := range map[string]struct {
		body    io.Reader
		limit   int64
		granted bool
		asked   bool
		members int
		words   string // of the error
	}{
		"nothing":                  {http.NoBody, 10, true, false, 0, ""},
		"an object":                {strings.NewReader(`{"a":1,"b":{}}`), maxBody, true, false, 2, ""},
		"the largest small":        {strings.NewReader(small), maxBody, false, false, 1, ""},
		"a large one":              {strings.NewReader(small + " "), maxBody, true, true, 1, ""},
		"a large one, not granted": {strings.NewReader(small + " "), maxBody, false, true, 0, "not now"},
		"as large as the limit":    {strings.NewReader(small), smallBody, true, false, 1, ""},
		"larger than the limit":    {strings.NewReader(small), smallBody - 1, true, false, 0, "larger than 63 KiB"},
		"a byte order mark":        {strings.NewReader("\ufeff{}"), maxBody, true, false, 0, ""},
		"two byte order marks":     {strings.NewReader("\ufeff\ufeff{}"), maxBody, true, false, 0, "JSON"},
		"a break":                  {io.MultiReader(strings.NewReader(`{"a":`), brokenReader{}), maxBody, true, false, 0, "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			r := httptest.NewRequest(http.MethodPost, "/", tt.body)
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			members, err := ReadObject(httptest.NewRecorder(), r, tt.limit, func() error {
				asked = true
				if !tt.granted {
					return refusal
				}
				return nil
			})
			if asked != tt.asked || len(members) != tt.members || (err != nil) != (tt.words != "") || err != nil && !strings.Contains(err.Error(), tt.words) {
				t.Errorf("asked is %t, %d members, %v", asked, len(members), err)
			}
		})
	}
}

func TestAnEncodedBodyIsRefused(t *testing.T) {
	for _, coding := range []string{"gzip", "identity", "br, gzip"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"a":1}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Encoding", coding)
		w := httptest.NewRecorder()
		_, err := ReadObject(w, r, maxBody, func() error { return nil })
		Fail(w, r, silent, err)
		wantReply(t, w.Result(), 415, api.CodeInvalid, coding)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
