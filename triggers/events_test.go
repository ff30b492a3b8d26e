package triggers_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/triggers"
)

func TestCommandEventIsWhatItsParametersEncodeTo(t *testing.T) {
	kind := triggers.Command("send.createManifest")
	text := "a \"quoted\" name, a back\\slash, <&>, a\nline, é, \u2028 and \x00"
	for _, p := range []triggers.CommandParams{
		{Command: encoded(t, map[string]any{"request": "send.createManifest", "parameters": map[string]any{}}), Status: "success",
			Message: "Manifest requested.", Result: json.RawMessage(`{}`)},
		{Command: encoded(t, map[string]any{"request": text, "parameters": map[string]any{"userData": map[string]any{text: text}}}), Status: "conflict",
			Message: text, Result: encoded(t, map[string]any{"fields": []string{text}, "n": 1.5, "none": nil})},
		{Command: json.RawMessage(`{"request":"","parameters":{}}`), Result: json.RawMessage(`{}`)},
	} {
		why := triggers.Cause{User: "alice", RequestID: "r", Depth: 2}
		want, err := kind.Event(p, why)
		if err != nil {
			t.Fatal(err)
		}
		got := triggers.CommandEvent(kind, p, why)
		if string(got.Parameters) != string(want.Parameters) || got.Name != want.Name || cmp.Diff(got.Cause, want.Cause) != "" {
			t.Errorf("%s\nwant\n%s", got.Parameters, want.Parameters)
		}
	}
}

func TestDescribeEncodesTheEntry(t *testing.T) {
	odd := "a \"quoted\" name, a back\\slash, <&>, a\nline, é, \u2028 and \x00"
	for _, r := range []triggers.Run{
		{RunID: "1", Event: "on.getServerInfo", EventID: "2", Attempt: 1, Status: triggers.StatusQueued, QueueTime: 3, EventTime: 4,
			RequestID: "r", User: "alice", TransferID: "t", Depth: 1, Parameters: json.RawMessage(`{"a":1}`)},
		{RunID: odd, Event: odd, EventID: odd, Attempt: 12, Status: triggers.StatusQueued, QueueTime: 1 << 60, RequestID: odd, TransferID: odd},
	} {
		ahead, otherwise, err := triggers.Described(&r)
		if err != nil || string(ahead) != string(otherwise) {
			t.Errorf("%v\n%s\nwant\n%s", err, ahead, otherwise)
		}
	}
}

func encoded(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := api.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
