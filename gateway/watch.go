package gateway

import (
	"encoding/json"
	"net/http"

	"jetstream/internal/api"
	"jetstream/middleware"
)

// superusers lets only superusers through to what shows the server's inside,
// launch scripts and tokens that keep that right included.
func (g *Gateway) superusers(next http.HandlerFunc) http.HandlerFunc {
	nobody := func(*http.Request) bool { return false }
	return middleware.Authenticate(g.log, g.o.Auth, nobody)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller, ok := api.CallerOf(r.Context()); !ok || !caller.Superuser {
			middleware.Fail(w, r, g.log, api.Errorf(api.CodeForbidden, "%s shows the server's inside and is for superusers", r.URL.Path))
			return
		}
		next(w, r)
	})).ServeHTTP
}

// health answers load balancers in a word, and superusers who ask for it
// (?verbose) with the facts.
func (g *Gateway) health(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("verbose") && g.o.Facts != nil {
		g.superusers(g.verboseHealth)(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if g.o.Healthy != nil {
		if err := g.o.Healthy(r.Context()); err != nil {
			g.log.WarnContext(r.Context(), "health check failed", "error", err)
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("out of order\n"))
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (g *Gateway) verboseHealth(w http.ResponseWriter, r *http.Request) {
	facts, well := g.o.Facts(r.Context())
	result, err := json.Marshal(facts)
	if err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	reply := api.Reply{Status: api.CodeSuccess, Message: "The server is well.", Result: result}
	status := http.StatusOK
	if !well {
		reply.Status, reply.Message = api.CodeUnavailable, "The server is out of order; the faults say why."
		status = http.StatusServiceUnavailable
	}
	middleware.Answer(w, status, reply)
}
