//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// validator is a reverse proxy before a server's API that holds every request
// and every answer against the document that the server publishes.
type validator struct {
	l       *live
	router  routers.Router
	target  atomic.Pointer[url.URL]
	server  *httptest.Server
	answers atomic.Int64 // that were documented and held
}

// sentBody is the key of the request's body in its context.
type sentBody struct{}

// validated lets all that calls the server by its address go through a
// validator from now on, also after a restart.
func (l *live) validated(t *testing.T) *validator {
	t.Helper()
	doc := contractOf(t, l).doc
	doc.Servers = nil // the router would compare the host
	router, err := legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
	if err != nil {
		t.Fatal(err)
	}
	v := &validator{l: l, router: router}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(v.target.Load()) },
		ModifyResponse: v.check,
		Transport:      &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	}
	v.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller went away
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sentBody{}, body)))
	}))
	t.Cleanup(v.server.Close)
	l.listening = v.interpose
	v.interpose()
	return v
}

// interpose puts the validator between the server, which has just begun to
// listen, and its callers.
func (v *validator) interpose() {
	target, err := url.Parse(v.l.baseURL)
	if err != nil {
		v.l.t.Fatal(err)
	}
	own, err := url.Parse(v.server.URL)
	if err != nil {
		v.l.t.Fatal(err)
	}
	port, err := strconv.Atoi(own.Port())
	if err != nil {
		v.l.t.Fatal(err)
	}
	v.target.Store(target)
	v.l.baseURL, v.l.host, v.l.apiPort = v.server.URL, own.Hostname(), port
}

// check reports what the document does not allow: an answer to what is not in
// it, a success of a request that it forbids, and each answer that is not as
// it says.
func (v *validator) check(res *http.Response) error {
	req := res.Request
	sent := req.Method + " " + req.URL.RequestURI()
	route, params, err := v.router.FindRoute(req)
	if err != nil {
		if res.StatusCode < 400 {
			v.l.t.Errorf("%s is not in the document (%v), and is answered with %d", sent, err, res.StatusCode)
		}
		return nil
	}
	body, _ := req.Context().Value(sentBody{}).([]byte)
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	input := &openapi3filter.RequestValidationInput{Request: again, PathParams: params, Route: route, Options: &openapi3filter.Options{
		IncludeResponseStatus: true, MultiError: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(req.Context(), input); err != nil && res.StatusCode < 300 {
		v.l.t.Errorf("%s %s is not as documented, and succeeds with %d: %v", sent, beginning(body), res.StatusCode, err)
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: res.StatusCode, Header: res.Header, Options: input.Options}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "text/event-stream" {
		// It has no end; TestEveryEventReachesStreamAndScript reads its entries.
		answer.Options.ExcludeResponseBody = true
	} else {
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		res.Body = io.NopCloser(bytes.NewReader(text))
		if res.Header.Get("Content-Encoding") == "gzip" {
			plain, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				return err
			}
			if text, err = io.ReadAll(plain); err != nil {
				return err
			}
		}
		answer.SetBodyBytes(text)
	}
	if err := openapi3filter.ValidateResponse(req.Context(), answer); err != nil {
		v.l.t.Errorf("%s is answered with %d, not as documented: %v", sent, res.StatusCode, err)
		return nil
	}
	v.answers.Add(1)
	return nil
}
