package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

// auth knows the password pw, the token tok and the session sid.
type auth struct{ remote string }

func unauthorizedUnless(right bool, caller api.Caller) (api.Caller, error) {
	if !right {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "wrong")
	}
	return caller, nil
}

func (a *auth) Password(_ context.Context, name, password, remote string) (api.Caller, error) {
	a.remote = remote
	return unauthorizedUnless(password == "pw", api.Caller{User: name})
}

func (a *auth) Token(_ context.Context, token, actAs string) (api.Caller, error) {
	return unauthorizedUnless(token == "tok", api.Caller{User: actAs, Superuser: true, Depth: 2})
}

func (a *auth) Session(_ context.Context, id string) (api.Caller, error) {
	if id == "broken" {
		return api.Caller{}, api.Errorf(api.CodeUnavailable, "the database is gone")
	}
	return unauthorizedUnless(id == "sid", api.Caller{User: "ann"})
}

func (a *auth) ActAs(_ context.Context, name string) (api.Caller, error) {
	return api.Caller{User: name, Superuser: name == ""}, nil
}

const basicAnn = "Basic YW5uOnB3" // ann:pw

func TestCallersAreKnownByTheirCredentials(t *testing.T) {
	ann := api.Caller{User: "ann", Login: api.LoginPassword, RequestID: "r-1"}
	onPage := ann
	onPage.Login = api.LoginSession
	for _, tt := range []struct {
		name    string
		headers []string
		want    api.Caller
		status  int
		words   string
	}{
		{"password", []string{"Authorization", basicAnn}, ann, 200, ""},
		{"password, lower case", []string{"Authorization", "basic YW5uOnB3"}, ann, 200, ""},
		{"token", []string{"Authorization", "Bearer tok"}, api.Caller{Superuser: true, Depth: 2, Login: api.LoginRunToken, RequestID: "r-1"}, 200, ""},
		{"token for a user", []string{"Authorization", "bearer  tok", api.UserHeader, "bob"}, api.Caller{User: "bob", Superuser: true, Depth: 2, Login: api.LoginRunToken, RequestID: "r-1"}, 200, ""},
		{"session", []string{"Cookie", api.SessionCookie + "=sid"}, onPage, 200, ""},
		{"a right password and an old cookie", []string{"Authorization", basicAnn, "Cookie", api.SessionCookie + "=old"}, ann, 200, ""},
		{"wrong password", []string{"Authorization", "Basic YW5uOm5v"}, api.Caller{}, 401, "wrong"},
		{"wrong token and a right cookie", []string{"Authorization", "Bearer no", "Cookie", api.SessionCookie + "=sid"}, api.Caller{}, 401, "wrong"},
		{"two logins", []string{"Authorization", basicAnn, "Authorization", "Bearer tok"}, api.Caller{}, 401, "more than one Authorization"},
		{"empty login", []string{"Authorization", ""}, api.Caller{}, 401, "neither Basic nor Bearer"},
		{"token for two users", []string{"Authorization", "Bearer tok", api.UserHeader, "bob", api.UserHeader, "ann"}, api.Caller{}, 401, "more than one X-Jetstream-User"},
		{"no base64", []string{"Authorization", "Basic !!!"}, api.Caller{}, 401, "base64 of NAME:PASSWORD"},
		{"no token", []string{"Authorization", "Bearer "}, api.Caller{}, 401, "no token follows"},
		{"another scheme", []string{"Authorization", `Digest username="ann"`}, api.Caller{}, 401, "neither Basic nor Bearer"},
		{"nothing", nil, api.Caller{}, 401, "log in"},
		{"an old cookie", []string{"Cookie", api.SessionCookie + "=old"}, api.Caller{}, 401, "log in"},
		{"a cookie that cannot be checked", []string{"Cookie", api.SessionCookie + "=broken"}, api.Caller{}, 503, "the database is gone"},
		{"the cookie of another port", []string{"Cookie", api.SessionCookie + "_9000=sid"}, api.Caller{}, 401, "log in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a auth
			var next reached
			h := WithRequestID(Authenticate(silent, &a, func(*http.Request) bool { return false })(&next))
			res := send(h, "GET", "/", "", append(tt.headers, api.RequestIDHeader, "r-1")...)
			if tt.status != 200 {
				code := map[int]api.Code{401: api.CodeUnauthorized, 503: api.CodeUnavailable}[tt.status]
				wantReply(t, res, tt.status, code, tt.words)
				if challenge := res.Header.Get("WWW-Authenticate"); (challenge != "") != (tt.status == 401) {
					t.Errorf("WWW-Authenticate: %q", challenge)
				}
				if next.n != 0 {
					t.Error("the refused request went on")
				}
				return
			}
			if res.StatusCode != 200 || next.n != 1 {
				t.Fatalf("answered %d", res.StatusCode)
			}
			got, loggedIn := api.CallerOf(next.last.Context())
			if diff := cmp.Diff(tt.want, got); diff != "" || !loggedIn {
				t.Errorf("the caller (-want +got):\n%s", diff)
			}
			if a.remote != "" && a.remote != "192.0.2.1" { // httptest's, without its port
				t.Errorf("the password came from %q", a.remote)
			}
		})
	}
}

func TestStrangersPassWhereTheyMay(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []string
		passes  bool
		caller  bool
	}{
		"nothing":        {nil, true, false},
		"an old cookie":  {[]string{"Cookie", api.SessionCookie + "=old"}, true, false},
		"a login":        {[]string{"Authorization", basicAnn}, true, true},
		"a wrong login":  {[]string{"Authorization", "Bearer no"}, false, false},
		"a broken login": {[]string{"Authorization", "Bearer"}, false, false},
	} {
		var next reached
		send(Authenticate(silent, &auth{}, func(*http.Request) bool { return true })(&next), "GET", "/", "", tt.headers...)
		if (next.n == 1) != tt.passes {
			t.Errorf("%s: passed %d times", name, next.n)
		}
		if next.n == 1 {
			if _, loggedIn := api.CallerOf(next.last.Context()); loggedIn != tt.caller {
				t.Errorf("%s: logged in is %t", name, loggedIn)
			}
		}
	}
}

func TestTheDepthHeaderOnlyRaises(t *testing.T) {
	for header, want := range map[string]int{"": 2, "1": 2, "5": 5, "-1": 2, "junk": 2, "999999": 1000} {
		var next reached
		send(Authenticate(silent, &auth{}, func(*http.Request) bool { return false })(&next), "GET", "/", "",
			"Authorization", "Bearer tok", api.DepthHeader, header)
		if caller, _ := api.CallerOf(next.last.Context()); caller.Depth != want {
			t.Errorf("header %q: depth %d, want %d", header, caller.Depth, want)
		}
	}
}

func TestTheCookieIsNamedAfterThePort(t *testing.T) {
	for host, want := range map[string]string{
		"localhost": "jetstream_session", "localhost:8886": "jetstream_session", "[::1]:8886": "jetstream_session",
		"localhost:9000": "jetstream_session_9000", "[::1]:443": "jetstream_session_443", "localhost:x": "jetstream_session",
	} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		r.Host = host
		if got := SessionCookieOf(r); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
