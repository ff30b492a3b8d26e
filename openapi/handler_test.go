package openapi

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDocumentIsServedOnce: by its ETag, in either form, and compressed for
// whoever takes that.
func TestDocumentIsServedOnce(t *testing.T) {
	const document = `{"openapi": "3.1.0"}`
	get := func(header ...string) *http.Response {
		r, w := httptest.NewRequest(http.MethodGet, "/openapi.json", nil), httptest.NewRecorder()
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		Handler(func() ([]byte, error) { return []byte(document), nil }).ServeHTTP(w, r)
		return w.Result()
	}
	plain, packed := get(), get("Accept-Encoding", "br, gzip")
	if body, _ := io.ReadAll(plain.Body); string(body) != document || plain.Header.Get("Content-Encoding") != "" {
		t.Errorf("plain: %q %v", body, plain.Header)
	}
	unpacker, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(unpacker); string(body) != document || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("packed: %q %v", body, packed.Header)
	}
	for _, first := range []*http.Response{plain, packed} {
		again := get("Accept-Encoding", first.Header.Get("Content-Encoding"), "If-None-Match", first.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || first.Header.Get("ETag") == "" || first.Header.Get("Vary") == "" {
			t.Errorf("again: %d, first %v", again.StatusCode, first.Header)
		}
	}
	if other := get("Accept-Encoding", "gzip", "If-None-Match", plain.Header.Get("ETag")); other.StatusCode != http.StatusOK {
		t.Errorf("one form is taken for the other: %d", other.StatusCode)
	}
}
