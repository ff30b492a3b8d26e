package main

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
)

const (
	// idLength is the length of an id; tables show shortLength digits of its end.
	idLength, shortLength = 32, 8
	// mostCandidates is how many ids an error names that begin or end alike.
	mostCandidates = 5
	// idPages bounds the pages that are searched of a list without a filter by id,
	// each of idPageSize objects.
	idPages, idPageSize = 10, 1000
)

// lastID stands for the id of the newest object.
const lastID = "last"

// idDigits is what a part of an id looks like, and a whole one.
var idDigits = regexp.MustCompile(`^[0-9a-f]{4,32}$`)

// shortID is what tables show of an id.
func shortID(id string) string { return id[max(0, len(id)-shortLength):] }

// begun reports whether an id begins or ends with text.
func begun(id, text string) bool { return strings.HasPrefix(id, text) || strings.HasSuffix(id, text) }

// idList is the command that lists the objects which a parameter names by id.
type idList struct {
	command *api.Command
	param   string
}

// idListOf returns the list for a parameter of c; ok is false if it is no id, or only
// filters what is listed. The list is the GET command of the route in front of the
// parameter, in c's own route or in that of another command of its group.
func idListOf(registry *api.Registry, c *api.Command, param string) (list idList, ok bool) {
	if !strings.HasSuffix(param, "Id") {
		return list, false
	}
	place := "/{" + param + "}"
	above, _, own := strings.Cut(c.Path, place)
	if !own {
		if c.Method == "GET" {
			return list, false
		}
		for _, other := range registry.All() {
			if before, _, found := strings.Cut(other.Path, place); found && other.Group() == c.Group() {
				above = before
				break
			}
		}
	}
	for _, other := range registry.All() {
		if other.Method == "GET" && other.Path == above {
			return idList{other, param}, true
		}
	}
	return list, false
}

// listedObject is an object of a list as it is: its id, and the other values that a
// table shows.
type listedObject struct{ id, about string }

// objects calls the list with params and returns a page of it.
func (l idList) objects(ctx context.Context, conn *client.Client, params map[string]any) (page []listedObject, next string, err error) {
	reply, err := conn.Call(ctx, l.command.Name, params)
	if err != nil {
		return nil, "", err
	}
	result, err := decodeObject(reply.Result)
	if err != nil {
		return nil, "", err
	}
	entries, _ := listOf(api.Fields(l.command.ResultType))
	columns, _ := columnsOf(entries.Type.Elem(), false)
	list, _ := result[entries.Name].([]any)
	for _, e := range list {
		id, _ := member(e, l.param).(string)
		var about []string
		for _, f := range columns {
			if text := cell(f, member(e, f.Name)); text != "" && f.Name != l.param {
				about = append(about, text)
			}
		}
		page = append(page, listedObject{id, strings.Join(about, ", ")})
	}
	next, _ = result["nextCursor"].(string)
	return page, next, nil
}

// filters reports whether the list can be filtered by the ids' beginning or end.
func (l idList) filters() bool {
	return slices.ContainsFunc(l.command.Params, func(f api.Field) bool { return f.Name == l.param })
}

// find returns the id that is meant by a part of it, or by last.
func (l idList) find(ctx context.Context, conn *client.Client, text string) (string, error) {
	params, pages := map[string]any{"limit": idPageSize}, idPages
	switch {
	case text == lastID:
		params["limit"], pages = 1, 1
	case l.filters():
		params["limit"], params[l.param], pages = mostCandidates+1, text, 1
	}
	var found []listedObject
	for range pages {
		page, next, err := l.objects(ctx, conn, params)
		if err != nil {
			return "", err
		}
		for _, o := range page {
			if text == lastID || begun(o.id, text) {
				found = append(found, o)
			}
		}
		if next == "" {
			break
		}
		params["cursor"] = next
	}
	return oneOf(strings.TrimSuffix(l.param, "Id"), text, found)
}

// oneOf returns the id of the only object that was found for text; an error names the
// candidates, or says that there are none.
func oneOf(kind, text string, found []listedObject) (string, error) {
	switch {
	case len(found) == 1:
		return found[0].id, nil
	case len(found) == 0 && text == lastID:
		return "", api.Errorf(api.CodeNotFound, "there are no %ss", kind)
	case len(found) == 0:
		return "", api.Errorf(api.CodeNotFound, "no %s has an id that begins or ends with %s", kind, text)
	}
	var list []string
	for _, o := range found[:min(len(found), mostCandidates)] {
		list = append(list, o.id+" ("+cmp.Or(o.about, kind)+")")
	}
	if len(found) > mostCandidates {
		list = append(list, "...")
	}
	return "", usagef("%s is the beginning or end of several ids; give more of it: %s", text, strings.Join(list, ", "))
}

// findIDs replaces each id among the parameters of c that is given by a part of it, or
// as last. What cannot be a part of an id is left for the server to judge.
func findIDs(ctx context.Context, conn *client.Client, c *api.Command, params map[string]any) error {
	for _, f := range c.Params {
		text, _ := params[f.Name].(string)
		text = strings.ToLower(text)
		if text != lastID && (!idDigits.MatchString(text) || len(text) == idLength) {
			continue
		}
		list, ok := idListOf(handlers.Commands(handlers.Deps{}), c, f.Name)
		if !ok {
			continue
		}
		id, err := list.find(ctx, conn, text)
		if err != nil {
			return err
		}
		params[f.Name] = id
	}
	return nil
}
