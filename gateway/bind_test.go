package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

type defaultedParams struct {
	Names []string          `json:"names" doc:"A list" default:"[\"a\",\"b\"]"`
	Data  map[string]string `json:"data" doc:"A map" default:"{\"k\":\"v\"}"`
}

// TestDefaultsStayWhatTheyAre: what one call gives is not the default of the
// next.
func TestDefaultsStayWhatTheyAre(t *testing.T) {
	b := newBinder(api.Define(api.Spec{Name: "x", Method: "POST", Path: "/x", Summary: "X"},
		func(context.Context, defaultedParams) (api.Empty, error) { return api.Empty{}, nil }))
	want := defaultedParams{[]string{"a", "b"}, map[string]string{"k": "v"}}
	for range 2 {
		got, err := b.bind(map[string]json.RawMessage{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(&want), got); diff != "" {
			t.Errorf("the default (-want +got):\n%s", diff)
		}
		got, err = b.bind(map[string]json.RawMessage{"names": json.RawMessage(`["c"]`), "data": json.RawMessage(`{"l":"w"}`)})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(&defaultedParams{[]string{"c"}, map[string]string{"l": "w"}}), got); diff != "" {
			t.Errorf("what was given (-want +got):\n%s", diff)
		}
	}
}

// TestMapsInTheQuery: what is JSON there is held to what holds of a body.
func TestMapsInTheQuery(t *testing.T) {
	f := newFixture(t)
	for query, want := range map[string]string{
		`{"k":"v"}`:            "",
		` {"k":"v"} `:          "",
		`{"k":"v","k":"w"}`:    "data names a member twice",
		` {"k":"v","k":"w"}`:   "data names a member twice",
		`{"k":null}`:           "data may not be null; leave it out instead",
		`{"k":"\ud834\udd1e"}`: "",
		`{"k":"\ud834"}`:       `data holds \ud834, which is one half of a character`,
		`\ud834`:               "data must be an object whose values are strings",
	} {
		res := f.do("ann", "POST", "/api/v1/send/echo/x?data="+url.QueryEscape(query), "")
		reply, _ := f.reply(res)
		if want == "" && res.StatusCode != 201 || want != "" && (res.StatusCode != 400 || reply.Message != want) {
			t.Errorf("%s: %d %q, want %q", query, res.StatusCode, reply.Message, want)
		}
	}
}

// TestManyFaultsCostNoSentences: a body of 16 MiB holds a million unknown
// names; only those that are answered are put into words.
func TestManyFaultsCostNoSentences(t *testing.T) {
	b := newBinder(api.Define(api.Spec{Name: "x", Method: "POST", Path: "/x", Summary: "X"},
		func(context.Context, defaultedParams) (api.Empty, error) { return api.Empty{}, nil }))
	const many = 10_000
	params := map[string]json.RawMessage{}
	for i := range many {
		params[fmt.Sprintf("name%05d", i)] = json.RawMessage("1")
	}
	var err error
	if made := testing.AllocsPerRun(1, func() { _, err = b.bind(params) }); made > many/2 {
		t.Errorf("%d unknown names cost %.0f allocations", many, made)
	}
	e := api.ErrorOf(err)
	last := e.Fields[len(e.Fields)-1]
	if len(e.Fields) != 100 || last.Field != "name00099" || last.Message != `x has no parameter "name00099"; it has names, data` ||
		!strings.HasSuffix(e.Message, "and 9995 more") {
		t.Errorf("%d faults, the last %+v: %s", len(e.Fields), last, e.Message)
	}
}

// TestWholeNumbersInAnyForm: encoders write them as 3.0 or 3e0.
func TestWholeNumbersInAnyForm(t *testing.T) {
	f := newFixture(t)
	for _, count := range []string{"3", "3.0", "30e-1", "0.3E+1"} {
		_, result := f.reply(f.do("ann", "POST", "/api/v1/command",
			`{"request":"send.echo","parameters":{"id":"a","count":`+count+`,"password":"hush"}}`))
		if result["count"] != 3.0 {
			t.Errorf("%s in the body: %v", count, result)
		}
	}
	if res := f.do("ann", "POST", "/api/v1/send/echo/a?count=3.5", `{"password":"hush"}`); res.StatusCode != 400 {
		t.Errorf("3.5: %d", res.StatusCode)
	}
}
