package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

type page struct {
	api.ListParams
	Status string  `json:"status" doc:"State" validate:"omitempty,oneof=a b"`
	Tags   []int   `json:"tags" doc:"Tags" validate:"max=3,dive,required"`
	Rate   *int64  `json:"rate" doc:"Rate" default:"5"`
	Key    string  `json:"key" doc:"Key" secret:"true" validate:"required"`
	Skip   string  `json:"-"`
	Ratio  float64 `json:"ratio" doc:"Ratio"`
}

func TestFieldsReadsDeclarationsOnce(t *testing.T) {
	type brief struct {
		Name     string
		Kind     api.Kind
		Pointer  bool
		Required bool
		Secret   bool
		Default  string
		Enum     []string
		Index    []int
	}
	var got []brief
	for _, f := range api.Fields(reflect.TypeFor[page]()) {
		got = append(got, brief{f.Name, f.Kind, f.Pointer, f.Required, f.Secret, f.Default, f.Enum, f.Index})
	}
	want := []brief{
		{"limit", api.KindInteger, false, false, false, "100", nil, []int{0, 0}},
		{"cursor", api.KindString, false, false, false, "", nil, []int{0, 1}},
		{"status", api.KindString, false, false, false, "", []string{"a", "b"}, []int{1}},
		{"tags", api.KindList, false, false, false, "", nil, []int{2}}, // required is about the elements
		{"rate", api.KindInteger, true, false, false, "5", nil, []int{3}},
		{"key", api.KindString, false, true, true, "", nil, []int{4}},
		{"ratio", api.KindNumber, false, false, false, "", nil, []int{6}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestUnfinishedDeclarationsPanic(t *testing.T) {
	type undocumented struct {
		A string `json:"a"`
	}
	type unnamed struct {
		A string `doc:"a"`
	}
	nothing := func(context.Context, api.Empty) (api.Empty, error) { return api.Empty{}, nil }
	for name, define := range map[string]func(){
		"no doc":      func() { api.Fields(reflect.TypeFor[undocumented]()) },
		"no json":     func() { api.Fields(reflect.TypeFor[unnamed]()) },
		"no struct":   func() { api.Fields(reflect.TypeFor[int]()) },
		"path":        func() { api.Define(api.Spec{Name: "x", Method: "GET", Path: "/x/{id}"}, nothing) },
		"same name":   func() { api.NewRegistry(define("a", "/1"), define("a", "/2")) },
		"same routes": func() { api.NewRegistry(define("a", "/1"), define("b", "/1")) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was accepted")
				}
			}()
			define()
		})
	}
}

func define(name, path string) *api.Command {
	return api.Define(api.Spec{Name: name, Method: "GET", Path: path},
		func(context.Context, api.Empty) (api.Empty, error) { return api.Empty{}, nil })
}

func TestBareNamesAreSends(t *testing.T) {
	for _, order := range [][]string{{"recv.getTransfers", "send.getTransfers"}, {"send.getTransfers", "recv.getTransfers"}} {
		r := api.NewRegistry(define(order[0], "/0"), define(order[1], "/1"), define("getTriggers", "/2"))
		if c, ok := r.FindBare("getTransfers"); !ok || c.Name != "send.getTransfers" {
			t.Errorf("order %v: getTransfers is %v", order, c)
		}
		if c, ok := r.FindBare("recv.getTransfers"); !ok || c.Name != "recv.getTransfers" || c.Group() != "recv" {
			t.Errorf("the full name found %v", c)
		}
		if c, ok := r.FindBare("getTriggers"); !ok || c.Group() != "server" {
			t.Errorf("getTriggers found %v", c)
		}
		if _, ok := r.Find("getTransfers"); ok {
			t.Error("Find takes bare names")
		}
	}
}

func TestEveryErrorHasACode(t *testing.T) {
	known := api.Errorf(api.CodeConflict, "busy")
	tests := []struct {
		err  error
		code api.Code
	}{
		{known, api.CodeConflict},
		{fmt.Errorf("wrapped: %w", known), api.CodeConflict},
		{context.DeadlineExceeded, api.CodeTimeout},
		{context.Canceled, api.CodeUnavailable},
		{errors.New("disk on fire"), api.CodeInternal},
	}
	for _, tt := range tests {
		if got := api.ErrorOf(tt.err); got.Code != tt.code {
			t.Errorf("%v: %s, want %s", tt.err, got.Code, tt.code)
		}
		reply := api.FailureReply(tt.err)
		if strings.Contains(reply.Message, "disk on fire") || string(reply.Result) != "{}" {
			t.Errorf("%v: reply %q %s", tt.err, reply.Message, reply.Result)
		}
	}
	if api.ErrorOf(nil) != nil {
		t.Error("nil became an error")
	}
	if !errors.Is(fmt.Errorf("x: %w", known), &api.Error{Code: api.CodeConflict}) || errors.Is(known, &api.Error{Code: api.CodeInvalid}) {
		t.Error("errors.Is does not compare codes")
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	want := map[api.Code]int{
		api.CodeSuccess: 200, api.CodeInvalid: 400, api.CodeUnauthorized: 401, api.CodeForbidden: 403, api.CodeNotFound: 404,
		api.CodeConflict: 409, api.CodeTooLarge: 413, api.CodeTooManyRequests: 429, api.CodeInternal: 500,
		api.CodeUnavailable: 503, api.CodeTimeout: 504, "made up": 500,
	}
	for code, status := range want {
		if got := code.HTTPStatus(); got != status {
			t.Errorf("%s is %d, want %d", code, got, status)
		}
	}
}

func TestTimeIsMicrosecondsOrNull(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 123456789, time.UTC)
	for _, tt := range []struct {
		time api.Time
		json string
	}{{0, "null"}, {api.TimeOf(time.Time{}), "null"}, {api.TimeOf(at), "1793534400123456"}} {
		b, err := json.Marshal(tt.time)
		if err != nil || string(b) != tt.json {
			t.Errorf("%d: %s, %v", tt.time, b, err)
		}
		var back api.Time
		if err := json.Unmarshal(b, &back); err != nil || back != tt.time {
			t.Errorf("%s came back as %d, %v", b, back, err)
		}
	}
	if got := api.TimeOf(at).Std(); !got.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("Std = %v", got)
	}
}

func TestIDsSortByAge(t *testing.T) {
	last := ""
	for range 1000 {
		id := api.NewID()
		if !api.IsID(id) || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
	for _, s := range []string{"", "x", strings.Repeat("g", 32), strings.Repeat("A", 32), strings.Repeat("a", 33)} {
		if api.IsID(s) {
			t.Errorf("%q passes as an id", s)
		}
	}
}

func TestNearestFindsTypingErrors(t *testing.T) {
	names := []string{"send.createManifest", "send.createTransfer", "send.getTransfer", "recv.transferComplete", "launch"}
	for name, want := range map[string]string{
		"send.createManifes":    "send.createManifest",
		"sendcreateTransfer":    "send.createTransfer",
		"recv.transfercomplete": "recv.transferComplete",
		"LAUNCH":                "launch",
		"lunch":                 "launch",
		"createManifst":         "send.createManifest",
		"transferCompleted":     "recv.transferComplete",
		"log.txt":               "",
		"readme":                "",
		"":                      "",
	} {
		if got := api.Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestNearestIsCheapForALongName(t *testing.T) {
	name := strings.Repeat("X", 16<<20)
	if allocs := testing.AllocsPerRun(1, func() {
		if got := api.Nearest(name, []string{"send.createManifest", "launch"}); got != "" {
			t.Errorf("16 MiB of X are near %q", got)
		}
	}); allocs != 0 {
		t.Errorf("the name was copied %v times", allocs)
	}
}

func TestMarshalKeepsHTMLReadable(t *testing.T) {
	b, err := api.Marshal(map[string]string{"a": "<&>"})
	if err != nil || string(b) != `{"a":"<&>"}` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestPathEscapeEscapesOneSegment(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "a/b c?": "a%2Fb%20c%3F", "é": "%C3%A9", "..": "..", "a@b": "a@b"} {
		if got := api.PathEscape(in); got != want {
			t.Errorf("PathEscape(%q) = %q, want %q", in, got, want)
		}
	}
}

// Request returns the same JSON as encoding/json.
func FuzzRequest(f *testing.F) {
	for _, s := range [][2]string{
		{"tags", `[1, 2]`}, {"key", `"hush"`}, {"unknown", `{"a":1}`}, {"<&>\u2028", `"<&>\u2028"`}, {"\xff", "\"\xff\""}, {"", ` { } `}, {`"`, `null`}, {"status", `"\ud800"`},
	} {
		f.Add(s[0], s[1])
	}
	c := api.Define(api.Spec{Name: "send.page", Method: "GET", Path: "/x", Summary: "X"},
		func(context.Context, page) (api.Empty, error) { return api.Empty{}, nil })
	f.Fuzz(func(t *testing.T, name, value string) {
		if !json.Valid([]byte(value)) {
			return
		}
		params := map[string]json.RawMessage{"limit": json.RawMessage(" 7 "), "key": json.RawMessage(`"hush"`), name: json.RawMessage(value)}
		got := c.Request(params)
		for n := range params {
			if param, known := c.Param(n); !known || param.Secret {
				params[n] = json.RawMessage(`"***"`)
			}
		}
		want, err := api.Marshal(struct {
			Request    string                     `json:"request"`
			Parameters map[string]json.RawMessage `json:"parameters"`
		}{"send.page", params})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
