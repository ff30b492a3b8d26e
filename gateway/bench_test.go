package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/middleware"
)

type benchParams struct {
	DestinationAddress   string            `json:"destinationAddress" doc:"An address" validate:"required,max=255"`
	DestinationPort      *int              `json:"destinationPort" doc:"A port" validate:"omitempty,min=1,max=65535"`
	DestinationPublicKey string            `json:"destinationPublicKey" doc:"A key" validate:"max=64"`
	SendRateMax          *int64            `json:"sendRateMax" doc:"A rate" validate:"omitempty,min=0"`
	UserData             map[string]string `json:"userData" doc:"A map" validate:"max=64"`
}

// nobody writes an answer to no connection: what is left is what the gateway
// costs itself.
type nobody struct {
	header http.Header
	status int
}

func (n *nobody) Header() http.Header              { return n.header }
func (n *nobody) Write(b []byte) (int, error)      { return len(b), nil }
func (n *nobody) WriteHeader(status int)           { n.status = status }
func (n *nobody) SetReadDeadline(time.Time) error  { return nil }
func (n *nobody) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkCommand measures what the gateway adds to a command that does
// nothing, from the request that net/http has read to the answer's bytes.
func BenchmarkCommand(b *testing.B) {
	g := New(Options{
		Registry: api.NewRegistry(
			api.Define(api.Spec{Name: "look", Method: "GET", Path: "/look", Summary: "Look", Message: "Seen."},
				func(context.Context, api.Empty) (nameParams, error) { return nameParams{"what is there"}, nil }),
			api.Define(api.Spec{Name: "make", Method: "POST", Path: "/make", Summary: "Make", Message: "Made."},
				func(_ context.Context, p benchParams) (benchParams, error) { return p, nil }),
		),
		Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler),
		Capture: middleware.Capture(func(context.Context, *middleware.Record) {}),
	})
	handler := withDeadlines(g)
	for _, c := range []struct{ name, method, route, body string }{
		{"no-parameters", "GET", "/look", ""},
		{"body", "POST", "/make", `{"destinationAddress":"10.100.100.100","destinationPort":8887,"sendRateMax":100000,` +
			`"userData":{"site":"the second house by the river","contact":"the operator of the night shift",` +
			`"purpose":"dailies of the second unit, to be graded there","budget":"4711-0815"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			body := strings.NewReader(c.body)
			r, err := http.NewRequest(c.method, "http://127.0.0.1:8886"+api.Prefix+c.route, io.NopCloser(body))
			if err != nil {
				b.Fatal(err)
			}
			r.ContentLength = int64(len(c.body))
			r.Header.Set("Authorization", "Bearer tok")
			if c.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			w := nobody{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				body.Reset(c.body)
				handler.ServeHTTP(&w, r)
			}
			if w.status != http.StatusOK {
				b.Fatalf("answered %d", w.status)
			}
		})
	}
}
