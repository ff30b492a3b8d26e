package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"jetstream/internal/api"
	"jetstream/middleware"
)

// maxSessionBody bounds the body of a login, in bytes: strangers send it.
const maxSessionBody = 16 << 10

// openSession logs somebody in on the page: JSON name and password in, cookie
// out. Script cannot read the cookie, and other sites cannot make a browser
// send it.
func (g *Gateway) openSession(w http.ResponseWriter, r *http.Request) {
	members, err := middleware.ReadObject(w, r, maxSessionBody, nil)
	if err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	var name, password string
	for key, field := range map[string]*string{"name": &name, "password": &password} {
		if json.Unmarshal(members[key], field) != nil || *field == "" {
			middleware.Fail(w, r, g.log, api.InvalidField(key, "required", key+" is required and must be a string"))
			return
		}
		delete(members, key)
	}
	for key := range members {
		middleware.Fail(w, r, g.log, api.InvalidField(key, "unknown", "a session takes name and password, nothing else"))
		return
	}
	middleware.NotePassword(r.Context(), name)
	id, expires, err := g.o.Sessions.Open(r.Context(), name, password, middleware.RemoteIP(r))
	if err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	http.SetCookie(w, g.cookie(r, id, int(time.Until(expires).Seconds())))
	middleware.Answer(w, http.StatusOK, api.Reply{Status: api.CodeSuccess, Message: "Signed in.", Result: json.RawMessage(`{}`)})
}

// closeSession signs out; signing out without being in is fine.
func (g *Gateway) closeSession(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(middleware.SessionCookieOf(r)); err == nil {
		g.o.Sessions.Close(r.Context(), c.Value, middleware.RemoteIP(r))
	}
	http.SetCookie(w, g.cookie(r, "", -1))
	middleware.Answer(w, http.StatusOK, api.Reply{Status: api.CodeSuccess, Message: "Signed out.", Result: json.RawMessage(`{}`)})
}

func (g *Gateway) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure follows TLS: without it a browser would drop the cookie
		Name: middleware.SessionCookieOf(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: g.o.Secure, SameSite: http.SameSiteStrictMode,
	}
}
