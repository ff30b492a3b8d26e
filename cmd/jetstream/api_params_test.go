package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
)

type everyKind struct {
	Name     string            `json:"name" doc:"Costs $5 or ${HOME}, \"quoted\"" validate:"required"`
	Count    int               `json:"count" doc:"How many" default:"7" validate:"min=1,max=9"`
	Share    float64           `json:"share" doc:"Which part"`
	Rate     int64             `json:"rate" doc:"How fast" unit:"kbit/s"`
	Force    bool              `json:"force" doc:"Whether"`
	Mode     *string           `json:"mode" doc:"Which way" validate:"omitempty,oneof=up down"`
	Mappings map[string]string `json:"fileMappings" doc:"What goes where"`
	Free     json.RawMessage   `json:"free" doc:"Anything"`
	Words    []string          `json:"words" doc:"Some words"`
	Numbers  []int             `json:"numbers" doc:"Some numbers"`
	Password string            `json:"password" doc:"The secret" secret:"true"`
}

func parseParameters(t *testing.T, args ...string) (map[string]any, error) {
	t.Helper()
	var out strings.Builder
	p := &program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}
	command := api.Define(api.Spec{Name: "test.command", Path: "/test"}, func(context.Context, everyKind) (api.Empty, error) { return api.Empty{}, nil })
	params, flags, err := (&commandCmd{command: command, Args: args}).parameters(t.Context(), p)
	if flags == nil && err == nil {
		return map[string]any{"help": out.String()}, err
	}
	return params, err
}

func TestParametersBecomeJSON(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--name=a"}, `{"name":"a"}`},
		{[]string{"--name", "first", "--name", "last"}, `{"name":"last"}`},
		{[]string{"--name=", "--count=0", "--share", "0.5", "--force"}, `{"count":0,"force":true,"name":"","share":0.5}`},
		{[]string{"--name=a", "--force=false", "--count=-3"}, `{"count":-3,"force":false,"name":"a"}`},
		{[]string{"--count", "-3", "--share", "-.5", "--name", "-1"}, `{"count":-3,"name":"-1","share":-0.5}`},
		{[]string{"--user=bob", "--name=a", "--host", "b", "--json"}, `{"name":"a"}`},
		{[]string{"--force", "true", "--name=a"}, `{"force":true,"name":"a"}`},
		{[]string{"--force", "false", "--name", "true"}, `{"force":false,"name":"true"}`},
		{[]string{"--name=a", "--count=9007199254740993"}, `{"count":9007199254740993,"name":"a"}`},
		{[]string{"--name=a", "--fileMappings", "/a,b:/c", "--fileMappings=/d:/e"}, `{"fileMappings":{"/a,b":"/c","/d":"/e"},"name":"a"}`},
		{[]string{"--name=a", `--fileMappings=C:\reel::/in`}, `{"fileMappings":{"C:\\reel":"/in"},"name":"a"}`},
		{[]string{"--name=a", `--fileMappings={"/a:b":"/c::d"}`}, `{"fileMappings":{"/a:b":"/c::d"},"name":"a"}`},
		{[]string{"--name=a", `--free={"n":[1,2]}`}, `{"free":{"n":[1,2]},"name":"a"}`},
		{[]string{"--name=a", "--words=x,y", "--words", "z"}, `{"name":"a","words":["x,y","z"]}`},
		{[]string{"--name=a", "--numbers=1", "--numbers=2"}, `{"name":"a","numbers":[1,2]}`},
	}
	for _, tt := range tests {
		params, err := parseParameters(t, tt.args...)
		if err != nil {
			t.Errorf("%q: %v", tt.args, err)
			continue
		}
		got, err := api.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tt.want {
			t.Errorf("%q: got %s, want %s", tt.args, got, tt.want)
		}
	}
}

func TestParametersThatCannotBe(t *testing.T) {
	tests := []struct {
		args []string
		says string
	}{
		{nil, "--name"},
		{[]string{"--name=a", "--count=many"}, "--count"},
		{[]string{"--name=a", "--share=half"}, "--share"},
		{[]string{"--naem=a"}, "did you mean --name?"},
		{[]string{"--NAME=a"}, "did you mean --name?"},
		{[]string{"--name=a", "stray"}, "parameters are flags"},
		{[]string{"--name=a", "--rate=100mbit"}, `--rate: "100mbit" is no whole number; it is a number of kbit/s`},
		{[]string{"--name=a", "--fileMappings=/a"}, "no colon"},
		{[]string{"--name=a", "--fileMappings=/a:/b:/c"}, "several colons"},
		{[]string{"--name=a", "--fileMappings=a::b::c"}, "JSON object"},
		{[]string{"--name=a", "--fileMappings=:/b"}, "before the colon"},
		{[]string{"--name=a", "--fileMappings=/a:/b", "--fileMappings=/a:/c"}, "twice"},
		{[]string{"--name=a", "--fileMappings={oops"}, "JSON object"},
		{[]string{"--name=a", `--fileMappings={"a":1}`}, "JSON object"},
		{[]string{"--name=a", `--fileMappings={"a":"b"}`, "--fileMappings=c:d"}, "either"},
		{[]string{"--name=a", "--free=[1]"}, "JSON object"},
		{[]string{"--name=a", "--free=null"}, "JSON object"},
		{[]string{"--name=a", "--numbers=x"}, "--numbers"},
		{[]string{"--name=a", "--password=hunter2"}, "--password"},
		{[]string{"--name=a", "--password=@"}, "--password"},
		{[]string{"--name=a", "--password=@/no/such/file"}, "/no/such/file"},
	}
	for _, tt := range tests {
		_, err := parseParameters(t, tt.args...)
		if _, usage := err.(*usageError); !usage { //nolint:errorlint // it is returned bare
			t.Errorf("%q: got %v, want a usage error", tt.args, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: got %q, want it to say %q", tt.args, err, tt.says)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %q repeats the secret", tt.args, err)
		}
	}
}

func TestHelpComesFromTheDeclaration(t *testing.T) {
	params, err := parseParameters(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	help := strings.Join(strings.Fields(params["help"].(string)), " ")
	for _, want := range []string{
		`--name=TEXT Costs $5 or ${HOME}, "quoted" (required).`, "--count=INTEGER How many (default 7).",
		"--mode=TEXT Which way (one of up, down).", "--fileMappings=SRC:DST", "--password=@FILE", "--force Whether (true or false).",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("help lacks %q:\n%s", want, params["help"])
		}
	}
}

func FuzzParseMap(f *testing.F) {
	for _, seed := range []string{"a:b", `C:\x::/y`, "{}", `{"a":"b"}`, ":", "::", ":::", "a:", "{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMap([]string{text})
		if err != nil || strings.HasPrefix(text, "{") {
			return
		}
		if len(m) != 1 {
			t.Fatalf("%q became %d entries", text, len(m))
		}
		for key, value := range m {
			if key+":"+value != text && key+"::"+value != text {
				t.Errorf("%q became %q and %q", text, key, value)
			}
		}
	})
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain text, ünïcode, 日本": "plain text, ünïcode, 日本",
		"a\x1b[31mred\n":          `a\x1b[31mred\n`,
		"\r\t\x00\x7f":            `\r\t\x00\x7f`,
		"\u009b31m\u202eevil":     `\u009b31m\u202eevil`,
		"bad \xff utf8 \ufffd":    "bad \\xff utf8 \ufffd",
		"no\u00a0break\u200b":     `no\u00a0break\u200b`,
	} {
		if diff := cmp.Diff(want, terminal.Printable(text)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", text, diff)
		}
	}
}
