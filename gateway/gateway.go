// Package gateway turns the command registry into an HTTP server: a REST route
// for each command, the envelope POST /api/v1/command for all of them, and
// what stands beside the commands (health, documents, the page, its session).
//
// chain.go lists the middlewares that a command passes. Behind them the gateway
// binds the parameters into the command's struct, validates them, carries the
// command out, encodes its result once, fills in its record, and answers.
package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"jetstream/internal/api"
	"jetstream/middleware"
)

// Sessions logs people in on the page.
type Sessions interface {
	// Open checks the credentials and returns the cookie's value.
	Open(ctx context.Context, name, password, remote string) (id string, expires time.Time, err error)
	// Close ends a session, if there is one of that id.
	Close(ctx context.Context, id, remote string)
}

// Options is what a gateway is made of. Registry, Auth and Log are needed.
type Options struct {
	Registry *api.Registry
	Auth     middleware.Authenticator
	Sessions Sessions
	Log      *slog.Logger
	// Hosts are the names, beside IP literals and localhost, that requests
	// may address this server by.
	Hosts []string
	// Capture records commands: middleware.Capture with the observers; nil: no
	// command has observers.
	Capture func(http.Handler) http.Handler
	// Refused observes the requests that are refused; nil: nobody does.
	Refused middleware.RefusalObserver
	// TrustedProxies are the addresses of proxies that are believed whom they
	// were called by.
	TrustedProxies []netip.Prefix
	// Changeable returns why no command may change anything now, also what is
	// not in the database; nil: all may.
	Changeable func() error
	// Healthy tells why the server is out of order, nil when it is fine; nil
	// means always fine.
	Healthy func(context.Context) error
	// Facts are what /healthz?verbose shows superusers, as a struct that encodes
	// to an object, and whether the server is well; nil: it shows no more than
	// /healthz.
	Facts func(context.Context) (facts any, well bool)
	// Metrics serves /metrics to superusers; nil: there is none.
	Metrics http.Handler
	// Events begins to read the event stream for a caller; nil: there is no
	// stream. Its errors are answered as a command's are.
	Events func(caller api.Caller, q EventQuery) (Feed, error)
	// Standing identifies the account of a user as it is now: another value
	// when it is another account or has another password or other rights, an
	// error when it may not log in. Needed with Events.
	Standing func(ctx context.Context, user string) (string, error)
	// MaxConnections is how many connections are open at a time; 0 is 4096. Of
	// more, one is closed on which no command is carried out; half of them may
	// be event streams, and a quarter wait commands.
	MaxConnections int
	// Replays keeps outcomes for Idempotency-Key; nil refuses that header.
	Replays middleware.Replays
	// Secure tells that the server speaks TLS: cookies are marked so.
	Secure bool
	// OpenAPI serves the document at /openapi.json; Docs serves /docs and what
	// is below it; Web serves the page at / and its files.
	OpenAPI http.Handler
	Docs    http.Handler
	Web     http.Handler
}

// Gateway is the HTTP side of the control API. It is safe for concurrent use.
type Gateway struct {
	o       Options
	log     *slog.Logger
	binders map[*api.Command]*binder
	router  chi.Router
	streams chan struct{}         // holds a token for each event stream
	results *middleware.UserQuota // large ones, in KiB
	public  map[methodPath]bool   // the public commands
}

type methodPath struct{ method, path string }

// New builds the routes.
func New(o Options) *Gateway {
	o.MaxConnections = cmp.Or(o.MaxConnections, defaultMaxConnections)
	if o.Capture == nil {
		o.Capture = middleware.Capture()
	}
	g := &Gateway{
		o: o, log: o.Log, binders: map[*api.Command]*binder{}, public: map[methodPath]bool{},
		streams: make(chan struct{}, max(1, o.MaxConnections/2)), results: newResultQuota(maxResults),
	}
	for _, c := range o.Registry.All() {
		g.binders[c] = newBinder(c)
		if c.Access == api.AccessPublic {
			g.public[methodPath{c.Method, api.Prefix + c.Path}] = true
		}
	}
	g.router = g.routes()
	return g
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.router.ServeHTTP(w, r) }

// routes is the whole map of the server. Everything under api.Prefix needs a
// login but the public commands by their own route; what stands outside it is
// for everybody and shows no state.
func (g *Gateway) routes() chi.Router {
	chain := g.chain()
	r := chi.NewRouter()
	r.Use(chain.every...)
	r.NotFound(g.notFound)
	r.MethodNotAllowed(g.methodNotAllowed)

	get(r, middleware.HealthPath, g.health)
	if g.o.Metrics != nil {
		get(r, "/metrics", g.superusers(g.o.Metrics.ServeHTTP))
	}
	r.Post("/session", g.openSession)
	r.Delete("/session", g.closeSession)
	if g.o.OpenAPI != nil {
		get(r, "/openapi.json", g.o.OpenAPI.ServeHTTP)
	}
	if g.o.Docs != nil {
		get(r, "/docs", g.o.Docs.ServeHTTP)
		get(r, "/docs/*", g.o.Docs.ServeHTTP)
	}
	if g.o.Web != nil {
		get(r, "/", g.o.Web.ServeHTTP)
		get(r, "/static/*", g.o.Web.ServeHTTP)
	}

	r.Route(api.Prefix, func(r chi.Router) {
		r.Use(chain.below...)
		// Set again, so that strangers cannot tell which routes exist.
		r.NotFound(g.notFound)
		r.MethodNotAllowed(g.methodNotAllowed)
		if g.o.Events != nil {
			get(r, api.EventsPath, g.events)
		}
		r = r.With(chain.command...)
		r.Post(api.EnvelopePath, g.command)
		for _, c := range g.o.Registry.All() {
			r.MethodFunc(c.Method, c.Path, g.command)
			if c.Method == http.MethodGet {
				r.Head(c.Path, g.command)
			}
		}
	})
	return r
}

// get mounts h for GET and HEAD.
func get(r chi.Router, pattern string, h http.HandlerFunc) {
	r.Get(pattern, h)
	r.Head(pattern, h)
}

// isPublic tells whether a request below api.Prefix calls a public command.
func (g *Gateway) isPublic(r *http.Request) bool {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return g.public[methodPath{method, r.URL.Path}]
}

func (g *Gateway) notFound(w http.ResponseWriter, r *http.Request) {
	middleware.Fail(w, r, g.log, api.Errorf(api.CodeNotFound,
		"there is nothing at %s %.200q; the routes are in /docs", r.Method, r.URL.Path))
}

func (g *Gateway) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	path := cmp.Or(r.URL.RawPath, r.URL.Path) // what the route was looked for by
	for _, m := range []string{"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"} {
		if g.router.Match(chi.NewRouteContext(), m, path) {
			w.Header().Add("Allow", m)
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 { // of no path, as with CONNECT
		g.notFound(w, r)
		return
	}
	middleware.FailStatus(w, r, g.log, http.StatusMethodNotAllowed, api.Errorf(api.CodeInvalid,
		"%.200q does not take %.20q, but %s", r.URL.Path, r.Method, strings.Join(allowed, " and ")))
}
