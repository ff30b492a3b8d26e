package main

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

const (
	// liveTimeout bounds the wait for a server's answer to a completion.
	liveTimeout = 2 * time.Second
	// liveLimit is how many objects a list is asked for.
	liveLimit = 50
)

// liveValues asks a server for the values that exist there. A server that does not
// answer, or wants a password, has none.
type liveValues struct {
	ctx context.Context //nolint:containedctx // of one completion
	p   *program
	// login are the flags of the login among the words, as they were typed.
	login []string
}

// connect returns a client as the words and the environment describe it; nil if that
// would take a question.
func (l *liveValues) connect(ctx context.Context) *client.Client {
	p := &program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: l.p.Getenv}
	grammar := &struct{ callFlags }{}
	if _, err := p.parse(grammar, l.login, kong.Name("jetstream")); err != nil {
		return nil
	}
	conn, _, err := grammar.connect(ctx, p)
	if err != nil {
		return nil
	}
	return conn
}

// loginFlag is what the flags of a login are called.
var loginFlag = regexp.MustCompile(`^(host|api-control-port|user|tls|ca|persistent-state-dir)$`)

// values returns the values of a kind: transfers (both directions; under way: those that
// have not ended), destinations, users, or the ids that a parameter of a command takes.
// typed is what they are to begin with.
func (l *liveValues) values(kind, typed string) []suggestion {
	ctx, cancel := context.WithTimeout(l.ctx, liveTimeout)
	defer cancel()
	conn := l.connect(ctx)
	if conn == nil {
		return nil
	}
	defer conn.Close()
	var objects []listedObject
	switch kind {
	case "transfers", "transfers under way":
		return idSuggestions(liveTransfers(ctx, conn, kind != "transfers"), typed)
	case "destinations":
		return liveTargets(ctx, conn)
	case "users":
		list, _ := client.As[struct {
			Users []account.User `json:"users"`
		}](conn.Call(ctx, "getUsers", map[string]any{"limit": liveLimit}))
		var out []suggestion
		for _, u := range list.Users {
			out = append(out, suggestion{u.Name, ""})
		}
		return out
	default:
		registry := handlers.Commands(handlers.Deps{})
		dot := strings.LastIndex(kind, ".")
		command, ok := registry.Find(kind[:max(dot, 0)])
		if !ok {
			return nil
		}
		list, ok := idListOf(registry, command, kind[dot+1:])
		if !ok {
			return nil
		}
		objects, _, _ = list.objects(ctx, conn, map[string]any{"limit": liveLimit})
	}
	return idSuggestions(objects, typed)
}

// idSuggestions proposes the ends of ids, as tables show them, or, where the beginning
// of one is typed, the whole id.
func idSuggestions(objects []listedObject, typed string) []suggestion {
	var out []suggestion
	for _, o := range objects {
		word := shortID(o.id)
		if !strings.HasPrefix(word, typed) {
			word = o.id
		}
		out = append(out, suggestion{word, terminal.Printable(o.about)})
	}
	if len(objects) > 0 {
		out = append(out, suggestion{lastID, "the newest"})
	}
	return out
}

// liveTransfers returns the transfers that jetstream transfers lists.
func liveTransfers(ctx context.Context, conn *client.Client, underWay bool) []listedObject {
	list := transfersListCmd{Limit: liveLimit}
	sent, received, _ := list.fetch(ctx, conn)
	var out []listedObject
	for _, r := range transferRows(sent, received) {
		sent := slices.ContainsFunc(out, func(o listedObject) bool { return o.id == r.id }) // and received by the same server
		if !sent && (r.processing || !underWay) {
			out = append(out, listedObject{r.id, string(r.status) + ", " + r.percent() + " of what goes " + r.peer})
		}
	}
	return out
}

// plainTarget is what a shell takes for one word as it stands.
var plainTarget = regexp.MustCompile(`^[A-Za-z0-9_.@:\[\]-]+$`)

// liveTargets returns [USER@]HOST[:PORT]: of where something was sent to.
func liveTargets(ctx context.Context, conn *client.Client) []suggestion {
	var out []suggestion
	add := func(user, host string, port int, about string) {
		word := api.HostText(host) + ":"
		if port != transfer.DefaultPort {
			word += strconv.Itoa(port) + ":"
		}
		if user != "" {
			word = user + "@" + word
		}
		known := func(s suggestion) bool { return s.word == word || strings.HasSuffix(s.word, "@"+word) }
		if plainTarget.MatchString(word) && !slices.ContainsFunc(out, known) {
			out = append(out, suggestion{word, terminal.Printable(about)})
		}
	}
	params := map[string]any{"limit": liveLimit}
	sent, _ := client.As[sentList](conn.Call(ctx, "send.getTransfers", params))
	for _, t := range sent.Transfers {
		add(t.Username, t.DestinationAddress, t.DestinationPort, "last "+t.DestinationPath)
	}
	destinations, _ := client.As[struct {
		Destinations []transfer.Destination `json:"destinations"`
	}](conn.Call(ctx, "send.getDestinations", params))
	for _, d := range destinations.Destinations {
		add("", d.DestinationAddress, d.DestinationPort, "")
	}
	return out
}
