package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"jetstream/internal/api"
)

// sampleServer is where the samples call; the page puts its own address there.
const sampleServer = "http://localhost:8886"

// sampleCall is the call that the samples of an entry make.
type sampleCall struct {
	method, path string
	query        [][2]string
	body         any // nil: none
}

func (c sampleCall) url() string {
	pairs := make([]string, len(c.query))
	for i, pair := range c.query {
		pairs[i] = pair[0] + "=" + url.QueryEscape(pair[1])
	}
	text := sampleServer + c.path
	if len(pairs) > 0 {
		text += "?" + strings.Join(pairs, "&")
	}
	return text
}

// samples are programs that make the call as they stand, with an API token in the
// environment variable JETSTREAM_API_TOKEN. command is nil for what is none.
func (c sampleCall) samples(command *api.Command) []sampleView {
	samples := []sampleView{
		{"curl", c.curl()}, {"Python", c.python()}, {"JavaScript", c.javaScript()}, {"Go", c.goProgram()},
	}
	if command != nil {
		samples = append(samples, sampleView{"jetstream", command.ExampleLine()})
	}
	return samples
}

func (c sampleCall) curl() string {
	text := `curl -H "Authorization: Bearer $JETSTREAM_API_TOKEN"`
	if c.method != "GET" {
		text += " -X " + c.method
	}
	text += " \\\n  " + api.ShellWord(c.url())
	if c.body != nil {
		text += " \\\n  -H 'Content-Type: application/json' -d " + api.ShellWord(c.json("  "))
	}
	return text
}

func (c sampleCall) json(prefix string) string {
	text, err := indented(c.body, prefix)
	if err != nil { // it was read from JSON
		panic(fmt.Sprintf("openapi: %v", err))
	}
	return text
}

func (c sampleCall) python() string {
	var b strings.Builder
	b.WriteString("import json, os, urllib.request\n\n")
	fmt.Fprintf(&b, "request = urllib.request.Request(\n    %q,\n    method=%q,\n", c.url(), c.method)
	b.WriteString("    headers={\"Authorization\": \"Bearer \" + os.environ[\"JETSTREAM_API_TOKEN\"]")
	if c.body == nil {
		b.WriteString("},\n)\n")
	} else {
		fmt.Fprintf(&b, ",\n             \"Content-Type\": \"application/json\"},\n    data=json.dumps(%s).encode(),\n)\n", pythonLiteral(c.body, "    "))
	}
	b.WriteString("with urllib.request.urlopen(request) as reply:\n    print(json.load(reply)[\"result\"])")
	return b.String()
}

// pythonLiteral is a value of JSON in Python.
func pythonLiteral(value any, indent string) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, each := range v {
			parts[i] = pythonLiteral(each, indent)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var b strings.Builder
		b.WriteString("{\n")
		for _, key := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(&b, "%s    %q: %s,\n", indent, key, pythonLiteral(v[key], indent+"    "))
		}
		return b.String() + indent + "}"
	}
	return fmt.Sprintf("%q", value)
}

func (c sampleCall) javaScript() string {
	var b strings.Builder
	fmt.Fprintf(&b, "const response = await fetch(%q, {\n  method: %q,\n", c.url(), c.method)
	b.WriteString("  headers: {\n    Authorization: `Bearer ${process.env.JETSTREAM_API_TOKEN}`,\n")
	if c.body != nil {
		b.WriteString("    \"Content-Type\": \"application/json\",\n  },\n  body: JSON.stringify(" + c.json("  ") + "),\n});\n")
	} else {
		b.WriteString("  },\n});\n")
	}
	b.WriteString("const reply = await response.json();\nif (!response.ok) throw new Error(reply.message);\nconsole.log(reply.result);")
	return b.String()
}

func (c sampleCall) goProgram() string {
	body, imports, header := "nil", []string{"fmt", "io", "log", "net/http", "os"}, ""
	if c.body != nil {
		body, imports = "strings.NewReader(`"+c.json("\t")+"`)", append(imports, "strings")
		header = "\treq.Header.Set(\"Content-Type\", \"application/json\")\n"
	}
	return fmt.Sprintf(`package main

import (
	"%s"
)

func main() {
	req, err := http.NewRequest(%q, %q, %s)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("JETSTREAM_API_TOKEN"))
%s	res, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	reply, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, string(reply))
}`, strings.Join(imports, "\"\n\t\""), c.method, c.url(), body, header)
}
