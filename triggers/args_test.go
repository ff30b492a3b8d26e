package triggers_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"jetstream/triggers"
)

func TestParametersBecomeArguments(t *testing.T) {
	long := strings.Repeat("é", triggers.MaxArgument)
	for _, c := range []struct {
		parameters string
		want       []string
	}{
		{`{}`, []string{}},
		{`{"z":"1","a":"2"}`, []string{"1", "2"}},
		{`{"o":{ "b" : [1, 2] },"n":12,"t":true,"e":""}`, []string{`{"b":[1,2]}`, "12", "true", ""}},
		{`{"nul":"a\u0000b"}`, []string{"a\uFFFDb"}},
		{`{"long":"` + long[:triggers.MaxArgument] + `"}`, []string{long[:triggers.MaxArgument]}},
		{`{"long":"` + long + `"}`, []string{`{"truncated":true,"bytes":131072}`}},
		{`{"o":["` + long + `"]}`, []string{`{"truncated":true,"bytes":131076}`}},
	} {
		got, err := triggers.Arguments(json.RawMessage(c.parameters))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%.60s gives %.60q (%v), want %.60q", c.parameters, got, err, c.want)
		}
	}
	for _, bad := range []string{``, `[]`, `{"a"`, `{"a":1`, `"x"`, `{"a":}`} {
		if got, err := triggers.Arguments(json.RawMessage(bad)); err == nil {
			t.Errorf("%s gives %q, want an error", bad, got)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add(`{"a":"b","c":{"d":[null]}}`)
	f.Add(`{"a":"\u0000\ud800"}`)
	f.Fuzz(func(t *testing.T, parameters string) {
		args, err := triggers.Arguments(json.RawMessage(parameters))
		if err != nil {
			return
		}
		for _, a := range args {
			if len(a) > triggers.MaxArgument || strings.ContainsRune(a, 0) || (!utf8.ValidString(a) && utf8.ValidString(parameters)) {
				t.Errorf("%q gives the argument %q", parameters, a)
			}
		}
	})
}

func TestCaptureKeepsBothEnds(t *testing.T) {
	all := make([]byte, 5*triggers.Kept+3)
	for i := range all {
		all[i] = 'a' + byte(i%23)
	}
	for _, n := range []int{0, 1, triggers.Kept, triggers.Kept + 1, 2 * triggers.Kept, 2*triggers.Kept + 1, 3*triggers.Kept + 7, len(all)} {
		for _, step := range []int{1, 7, 4096, triggers.Kept, 40_000, len(all)} {
			write, end := triggers.NewCapture()
			for p := all[:n]; len(p) > 0; p = p[min(step, len(p)):] {
				write(p[:min(step, len(p))])
			}
			got, want := end(), string(all[:n])
			if n > 2*triggers.Kept {
				want = want[:triggers.Kept] + want[n-triggers.Kept:]
			}
			if got.Text != want || got.DroppedBytes != int64(n-len(want)) {
				t.Errorf("%d bytes by %d: kept %d, dropped %d", n, step, len(got.Text), got.DroppedBytes)
			}
			if write([]byte("late")); end().Text != want {
				t.Error("what came after the end was kept")
			}
		}
	}
}
