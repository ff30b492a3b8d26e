package middleware

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"jetstream/internal/api"
	"jetstream/internal/strictjson"
)

const (
	// maxBody bounds the body of a command, in bytes.
	maxBody = 16 << 20
	// maxLargeBodies is how many bodies above smallBody may be in memory at a
	// time: what they take of it is a few times their size.
	maxLargeBodies = 16
)

// Decode finds the command that a request calls, and its parameters, and puts
// both into the context as a Call. The request names the command by its own
// route, whose pattern the router has left in it, or in an envelope. The
// parameters are JSON typed as declared; whether they exist and fit is not
// checked yet. Requests without a command, with parameters that cannot be read,
// and with large bodies while too many are in memory are refused.
func Decode(log *slog.Logger, registry *api.Registry) func(http.Handler) http.Handler {
	routes := map[route]*api.Command{}
	for _, c := range registry.All() {
		routes[route{c.Method, api.Prefix + c.Path}] = c
	}
	largeBodies := NewUserQuota(maxLargeBodies,
		"too many large requests are in work (%d, %d of them by this user); send them one after the other")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := api.CallerOf(r.Context())
			large := false
			members, err := ReadObject(w, r, maxBody, func() error {
				err := largeBodies.Acquire(caller.User, 1)
				large = err == nil
				return err
			})
			if large {
				defer largeBodies.Release(caller.User, 1)
			}
			call := CallOf(r.Context())
			if call == nil {
				call = &Call{}
				r = r.WithContext(withCall(r.Context(), call))
			}
			switch {
			case err != nil:
			case r.Pattern == api.Prefix+api.EnvelopePath:
				call.Command, call.Params, err = decodeEnvelope(registry, r, members)
			default:
				call.Command, call.Params, err = decodeRoute(routes, r, members)
			}
			if err != nil {
				Fail(w, r, log, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// route is how a command is called by its own route.
type route struct{ method, pattern string }

// decodeRoute finds the command by method and pattern, and adds what path and
// query hold to the parameters of the body.
func decodeRoute(routes map[route]*api.Command, r *http.Request, body map[string]json.RawMessage) (*api.Command, map[string]json.RawMessage, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	c := routes[route{method, r.Pattern}]
	if c == nil { // the router has routes of the registry only: cannot happen
		return nil, nil, fmt.Errorf("no command has the route %s %s", method, r.Pattern)
	}
	params, err := addQuery(c, r, body)
	if err == nil {
		params, err = addPath(c, r, params)
	}
	return c, params, err
}

func addQuery(c *api.Command, r *http.Request, params map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	query, err := ParseQuery(r)
	if err != nil || len(query) == 0 {
		return params, err
	}
	if params == nil {
		params = make(map[string]json.RawMessage, len(query))
	}
	for name, values := range query {
		f, known := c.Param(name)
		if _, twice := params[name]; twice {
			return nil, api.InvalidField(name, "unique", fmt.Sprintf("%.100q is given in the query and in the body; give it once", name))
		}
		if known && (f.Secret || f.InPath) {
			return nil, api.InvalidField(name, "place", fmt.Sprintf("%s does not belong into the query of an address", name))
		}
		if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return nil, notText(name)
		}
		switch {
		case known && f.Kind == api.KindList:
			if params[name], err = api.Marshal(values); err != nil { // strings always marshal
				return nil, err
			}
		case len(values) > 1:
			return nil, api.InvalidField(name, "unique", fmt.Sprintf("%.100q is given more than once", name))
		default:
			value := f.FromText(values[0])
			if half := strictjson.LoneSurrogate(value); half != "" {
				return nil, api.InvalidField(name, "utf8", fmt.Sprintf("%s holds %s, which is one half of a character", api.Shorten(name, 100), half))
			}
			params[name] = value
		}
	}
	return params, nil
}

func addPath(c *api.Command, r *http.Request, params map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	for i := range c.Params {
		f := &c.Params[i]
		if !f.InPath {
			continue
		}
		if _, twice := params[f.Name]; twice {
			return nil, api.InvalidField(f.Name, "place", f.Name+" is given in the path; leave it out of the body")
		}
		value := r.PathValue(f.Name)
		if r.URL.RawPath != "" { // else net/url has unescaped it already
			var err error
			if value, err = url.PathUnescape(value); err != nil {
				return nil, api.InvalidField(f.Name, "escape", f.Name+" in the path is not escaped correctly")
			}
		}
		if !utf8.ValidString(value) {
			return nil, notText(f.Name)
		}
		if params == nil {
			params = map[string]json.RawMessage{}
		}
		params[f.Name] = f.FromText(value)
	}
	return params, nil
}

// ParseQuery reads the whole query or none of it: r.URL.Query would leave out
// what it cannot read.
func ParseQuery(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "the query of the address cannot be read; escape it as application/x-www-form-urlencoded")
	}
	return query, nil
}

func notText(name string) error {
	return api.InvalidField(name, "utf8", strings.ToValidUTF8(api.Shorten(name, 100), "\uFFFD")+" is not UTF-8")
}

// decodeEnvelope reads {"request": name, "parameters": {...}}.
func decodeEnvelope(registry *api.Registry, r *http.Request, members map[string]json.RawMessage) (*api.Command, map[string]json.RawMessage, error) {
	if r.URL.RawQuery != "" {
		return nil, nil, api.Errorf(api.CodeInvalid, `the envelope takes no query; put parameters into "parameters"`)
	}
	for key := range members {
		if key != "request" && key != "parameters" {
			return nil, nil, api.InvalidField(key, "unknown", fmt.Sprintf(
				`the envelope has no %.100q; it is {"request": name, "parameters": {...}}`, key))
		}
	}
	var name string
	if json.Unmarshal(members["request"], &name) != nil || name == "" {
		return nil, nil, api.InvalidField("request", "required", `"request" must be the full name of a command, such as "send.createManifest"`)
	}
	var params map[string]json.RawMessage
	if raw, given := members["parameters"]; given {
		var err error
		if params, err = strictjson.ParseObject(raw); err != nil {
			return nil, nil, api.InvalidField("parameters", "type", `"parameters" must be an object without repeated names`)
		}
	}
	c, ok := registry.Find(name)
	if !ok {
		hint := "the commands are in /docs"
		if near := api.Nearest(name, registry.Names()); near != "" {
			hint = "did you mean " + near + "?"
		}
		return nil, nil, api.Errorf(api.CodeNotFound, "there is no command %.100q; %s", name, hint)
	}
	return c, params, nil
}
