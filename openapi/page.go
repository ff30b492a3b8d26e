package openapi

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"jetstream/internal/api"
)

// htmlOf translates a text of the document; HTML in it is dropped.
func htmlOf(text string) (template.HTML, error) {
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.Table)).Convert([]byte(text), &out); err != nil {
		return "", fmt.Errorf("openapi: the text %.40q: %w", text, err)
	}
	return template.HTML(out.String()), nil //nolint:gosec // goldmark escapes what is in it
}

//go:embed docs.html
var pageTemplate string

// writePage writes the page of a document that Document has made from registry.
func writePage(registry *api.Registry, document []byte) ([]byte, error) {
	var d documentText
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("openapi: the page: %w", err)
	}
	view, err := viewOf(registry, d)
	if err != nil {
		return nil, err
	}
	t, err := template.New("docs").Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("openapi: the page: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, view); err != nil {
		return nil, fmt.Errorf("openapi: the page: %w", err)
	}
	return out.Bytes(), nil
}

func viewOf(registry *api.Registry, d documentText) (view pageView, err error) {
	view.Version = d.Info.Version
	if view.Guide, err = guideOf(d.Info.Description); err != nil {
		return view, err
	}
	for i, g := range view.Guide {
		view.Guide[i].Text = linked(registry, g.Text)
	}
	for _, tag := range d.Tags {
		c := chapterView{ID: slug(tag.Name), Name: tag.Name}
		if c.Text, err = htmlOf(tag.Description); err != nil {
			return view, err
		}
		if c.Entries, err = d.entries(registry, tag.Name); err != nil {
			return view, err
		}
		view.Chapters = append(view.Chapters, c)
	}
	for name, s := range d.Components.Schemas {
		fields, err := d.fields(s)
		if err != nil {
			return view, err
		}
		if len(fields) > 0 {
			view.Objects = append(view.Objects, objectView{name, s.Description, fields})
		}
	}
	slices.SortFunc(view.Objects, func(a, b objectView) int { return strings.Compare(a.Name, b.Name) })
	return view, nil
}

var codeWord = regexp.MustCompile(`<code>([\w.]+)</code>`)

// linked makes the names of commands in a text links to them.
func linked(registry *api.Registry, text template.HTML) template.HTML {
	return template.HTML(codeWord.ReplaceAllStringFunc(string(text), func(code string) string { //nolint:gosec // names of commands need no escapes
		name := codeWord.FindStringSubmatch(code)[1]
		if c, ok := registry.Find(name); !ok || c.Name != name {
			return code
		}
		return `<a href="#` + name + `">` + code + `</a>`
	}))
}

// guideOf splits the text before the commands at its titles.
func guideOf(text string) (guide []guideView, err error) {
	at := guideView{ID: "about", Title: "JetStream control API"}
	var lines strings.Builder
	add := func() (err error) {
		at.Text, err = htmlOf(lines.String())
		guide = append(guide, at)
		lines.Reset()
		return err
	}
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if title, ok := strings.CutPrefix(line, "# "); ok && !fenced {
			if err := add(); err != nil {
				return nil, err
			}
			title = strings.TrimSpace(title)
			at = guideView{ID: slug(title), Title: title}
			continue
		}
		lines.WriteString(line)
	}
	return guide, add()
}

// slug makes a title the id of its section.
func slug(title string) string {
	return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(title), "-"), "-")
}

// methodOrder sorts methods: looking comes before making, changing and removing.
func methodOrder(method string) int {
	return slices.Index([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, method)
}

// entries are those of one chapter, by path and method.
func (d documentText) entries(registry *api.Registry, tag string) (entries []entryView, err error) {
	add := func(method, path, name string, op operationText) error {
		if !slices.Contains(op.Tags, tag) {
			return nil
		}
		e, err := d.entry(registry, method, path, op)
		if err != nil {
			return fmt.Errorf("openapi: the page: %s: %w", op.OperationID, err)
		}
		e.Name = cmp.Or(name, op.OperationID)
		entries = append(entries, e)
		return nil
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if err := add(method, path, "", op); err != nil {
				return nil, err
			}
		}
	}
	for name, hook := range d.Webhooks {
		if err := add("", name, name, hook.Post); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(entries, func(a, b entryView) int {
		return cmp.Or(strings.Compare(a.Path, b.Path),
			cmp.Compare(methodOrder(a.Method), methodOrder(b.Method)))
	})
	return entries, nil
}

func (d documentText) entry(registry *api.Registry, method, path string, op operationText) (e entryView, err error) {
	e = entryView{ID: op.OperationID, Summary: op.Summary, Method: strings.ToUpper(method), Path: path,
		Access: op.Access, Permission: op.Permission, Arguments: op.Arguments}
	if e.Text, err = htmlOf(op.Description); err != nil {
		return e, err
	}
	call := sampleCall{method: e.Method, path: path}
	for _, p := range op.Parameters {
		f, err := d.field(p.Name, p.Schema, p.Required, 0)
		if err != nil {
			return e, err
		}
		if f.Text, err = htmlOf(p.Description); err != nil {
			return e, err
		}
		switch p.In {
		case "path":
			e.InPath = append(e.InPath, f)
			call.path = strings.ReplaceAll(call.path, "{"+p.Name+"}", cmp.Or(plain(p.Example), strings.ToUpper(p.Name)))
		case "query":
			e.Query = append(e.Query, f)
			if len(p.Example) > 0 {
				call.query = append(call.query, [2]string{p.Name, plain(p.Example)})
			}
		}
	}
	if op.RequestBody != nil {
		body := op.RequestBody.Content[jsonType]
		if e.Body, err = d.fields(body.Schema); err != nil {
			return e, err
		}
		if call.body, e.Request, err = exampleOf(body.Example); err != nil {
			return e, err
		}
	}
	for status, r := range op.Responses {
		if r.Ref != "" {
			e.Errors = append(e.Errors, strings.TrimPrefix(r.Ref, "#/components/responses/"))
			continue
		}
		content := r.Content[jsonType]
		if result, ok := content.Schema.Properties["result"]; ok && strings.HasPrefix(status, "2") && len(e.Result) == 0 {
			e.Object = d.object(result)
			if e.Result, err = d.fields(result); err != nil {
				return e, err
			}
		}
		if e.Reply == "" || status == "200" {
			if _, text, err := exampleOf(content.Example); err != nil {
				return e, err
			} else if text != "" {
				e.Reply = text
			}
		}
	}
	slices.Sort(e.Errors)
	for name, typ := range op.EventTypes {
		fields, err := d.fields(typ.Data)
		if err != nil {
			return e, err
		}
		e.Types = append(e.Types, eventView{name, typ.Summary, typ.Live, fields})
	}
	slices.SortFunc(e.Types, func(a, b eventView) int { return strings.Compare(a.Name, b.Name) })
	if method != "" {
		command, _ := registry.Find(op.OperationID)
		e.Samples = call.samples(command)
	}
	return e, nil
}

// exampleOf is an example, as it is and indented; it is empty if there is none.
func exampleOf(raw json.RawMessage) (example any, text string, err error) {
	if len(raw) == 0 {
		return nil, "", nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&example); err != nil {
		return nil, "", err
	}
	text, err = indented(example, "")
	return example, text, err
}

// indented is JSON with readable <, > and &.
func indented(value any, prefix string) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(prefix, "  ")
	err := encoder.Encode(value)
	return strings.TrimSpace(out.String()), err
}

// plain is a value as it stands in an address: text without quotes.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
