package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"

	"jetstream/internal/api"
)

type bytesParams struct {
	Path     string            `json:"path" doc:"A path" validate:"required,max=10" bytes:"true"`
	Where    string            `json:"where" doc:"Another" default:"/" bytes:"true"`
	Mappings map[string]string `json:"mappings" doc:"Several" validate:"max=2" bytes:"true"`
}

// TestParametersInBase64: a parameter that need not be UTF-8 is given as text
// or in base64, and is held to the same rules either way.
func TestParametersInBase64(t *testing.T) {
	b := newBinder(api.Define(api.Spec{Name: "x", Method: "POST", Path: "/x", Summary: "X"},
		func(context.Context, bytesParams) (api.Empty, error) { return api.Empty{}, nil }))
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		params string
		want   bytesParams
		says   string
	}{
		{`{"path": "/a"}`, bytesParams{Path: "/a", Where: "/"}, ""},
		{`{"pathBase64": "` + b64("/\xff") + `"}`, bytesParams{Path: "/\xff", Where: "/"}, ""},
		{`{"path": "/a", "whereBase64": "` + b64("/\xff\x00") + `"}`, bytesParams{Path: "/a", Where: "/\xff\x00"}, ""},
		{`{"path": "/a", "mappingsBase64": {"` + b64("/\xff") + `": "` + b64("\xfe") + `"}}`,
			bytesParams{Path: "/a", Where: "/", Mappings: map[string]string{"/\xff": "\xfe"}}, ""},
		{`{}`, bytesParams{}, "path is required and may not be empty; pathBase64 may be given in its place"},
		{`{"pathBase64": ""}`, bytesParams{}, "pathBase64 is required and may not be empty"},
		{`{"pathBase64": "` + b64("/0123456789\xff") + `"}`, bytesParams{}, "pathBase64 must have at most 10 characters"},
		{`{"path": "/a", "pathBase64": "L2E="}`, bytesParams{}, "pathBase64 and path are both given; give one of them"},
		{`{"pathBase64": "/a"}`, bytesParams{}, `pathBase64: "/a" is not base64 with + and / and padding; in a query + is written %2B`},
		{`{"pathBase64": "L2E"}`, bytesParams{}, `pathBase64: "L2E" is not base64 with + and / and padding; in a query + is written %2B`},
		{`{"pathBase64": 1}`, bytesParams{}, "pathBase64 must be a string"},
		{`{"path": "/a", "mappingsBase64": {"?": ""}}`, bytesParams{}, `mappingsBase64: "?" is not base64 with + and / and padding; in a query + is written %2B`},
		{`{"path": "/a", "mappingsBase64": {"": "?"}}`, bytesParams{}, `mappingsBase64: "?" is not base64 with + and / and padding; in a query + is written %2B`},
		{`{"path": "/a", "mappingsBase64": {"": "", "L2E=": "", "L2I=": ""}}`, bytesParams{}, "mappingsBase64 must have at most 2 entries"},
	} {
		var params map[string]json.RawMessage
		if err := json.Unmarshal([]byte(tt.params), &params); err != nil {
			t.Fatal(err)
		}
		got, err := b.bind(params)
		switch {
		case tt.says == "" && err != nil, tt.says != "" && (err == nil || err.Error() != tt.says):
			t.Errorf("%s: %v, want %q", tt.params, err, tt.says)
		case err == nil:
			p := got.(*bytesParams)
			if p.Path != tt.want.Path || p.Where != tt.want.Where || !maps.Equal(p.Mappings, tt.want.Mappings) {
				t.Errorf("%s: %+q, want %+q", tt.params, *p, tt.want)
			}
		}
	}
}
