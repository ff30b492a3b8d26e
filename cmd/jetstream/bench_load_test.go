//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// apiClient is the process of testdata/apiload. It is none of ours: a client in
// this process would be served at less cost than any other, and be measured.
type apiClient struct {
	to   *json.Encoder
	from *json.Decoder
}

// apiRound is a round as apiload takes it.
type apiRound struct {
	Address               string
	Connections, Requests int
	Request, Vary         string
	First                 int
}

func startAPIClient(b *testing.B) *apiClient {
	b.Helper()
	program := filepath.Join(b.TempDir(), "apiload")
	build := exec.Command("go", "build", "-o", program, "./testdata/apiload")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("the client could not be built: %v\n%s", err, out)
	}
	cmd := exec.Command(program)
	to, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = to.Close()
		_ = cmd.Wait()
	})
	return &apiClient{json.NewEncoder(to), json.NewDecoder(from)}
}

// load has a round made and adds what came of it to m, where that is not nil.
func (c *apiClient) load(b *testing.B, r apiRound, m *measured) {
	b.Helper()
	var o struct {
		Nanoseconds int64
		Each        []time.Duration
		Error       string
	}
	used := processorTime(b)
	if err := errors.Join(c.to.Encode(r), c.from.Decode(&o)); err != nil || o.Error != "" {
		b.Fatalf("the client ended early: %v%s", err, o.Error)
	}
	if m != nil {
		m.processor += processorTime(b) - used
		m.rates = append(m.rates, float64(len(o.Each))*1e9/float64(o.Nanoseconds))
		m.each = append(m.each, o.Each...)
	}
}

// measured is what came of the rounds of one kind.
type measured struct {
	rates []float64       // requests a second of each round
	each  []time.Duration // how long each request took
	// processor is what this process used of it for all of them.
	processor time.Duration
}

func (m *measured) rate() float64 {
	sorted := slices.Sorted(slices.Values(m.rates))
	return sorted[len(sorted)/2]
}

// perRequest is processor time in microseconds.
func (m *measured) perRequest() float64 { return float64(m.processor) / 1e3 / float64(len(m.each)) }

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// quantile is in milliseconds.
func (m *measured) quantile(q float64) float64 {
	slices.Sort(m.each)
	return float64(m.each[int(float64(len(m.each)-1)*q)]) / 1e6
}

// ratio is the median over the rounds, each beside the other's of that turn.
func (m *measured) ratio(bare *measured) float64 {
	ratios := make([]float64, len(m.rates))
	for i, r := range m.rates {
		ratios[i] = r / bare.rates[i]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// bareServer serves three routes of chi without anything around them: /ready
// writes reply as it is; /coded decodes a body into a value of params' type
// and encodes reply anew from a value of result's type; /durable writes reply
// as it is once a run of that size is on disk, in a database of its own.
func bareServer(b *testing.B, reply []byte, params, result any) (address string) {
	b.Helper()
	var whole struct {
		Status  api.Code `json:"status"`
		Message string   `json:"message"`
		Result  any      `json:"result"`
	}
	whole.Result = result
	if err := json.Unmarshal(reply, &whole); err != nil {
		b.Fatal(err)
	}
	write := func(w http.ResponseWriter, body []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
	r := chi.NewRouter()
	r.Get("/ready", func(w http.ResponseWriter, _ *http.Request) { write(w, reply) })
	db, err := store.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	r.Get("/durable", func(w http.ResponseWriter, r *http.Request) {
		run := &triggers.Run{RunID: api.NewID(), Event: "on.command", EventID: api.NewID(), Attempt: 1,
			Status: triggers.StatusQueued, Parameters: reply}
		if err := db.Runs().Update(r.Context(), func(tx triggers.Tx) error { return tx.InsertRun(run) }); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		write(w, reply)
	})
	r.HandleFunc("/coded", func(w http.ResponseWriter, r *http.Request) {
		if params != nil {
			p := reflect.New(reflect.TypeOf(params)).Interface()
			if err := json.NewDecoder(r.Body).Decode(p); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		body, err := json.Marshal(whole)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		write(w, body)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: r}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	b.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return ln.Addr().String()
}

// keepSent puts sent transfers into a database, which belong to the owners in
// turns: one in a thousand has failed, all others are complete.
func keepSent(b *testing.B, state string, n int, owners ...string) {
	b.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, state)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for from := 0; from < n; from += 1000 {
		err := db.Transfers().Update(ctx, func(tx transfer.Tx) error {
			for i := from; i < min(from+1000, n); i++ {
				t := &transfer.Transfer{
					Params: transfer.Params{
						ManifestID: api.NewID(), DestinationID: api.NewID(), DestinationPath: "/incoming/reels", Username: "bob",
						Priority: 100, CheckpointFrequencySeconds: 5, Conflict: "overwrite", OnError: "stop",
						UserData: map[string]string{"job": strconv.Itoa(i)},
					},
					TransferID: api.NewID(), DestinationAddress: "site-b.example", DestinationPort: 8887,
					Status: transfer.StatusComplete, TotalFiles: 120, TotalBytes: 12 << 30, FilesSent: 120, BytesSent: 12 << 30,
					RequestTime: api.Now(), StartTime: api.Now(), EndTime: api.Now(), Owner: owners[i%len(owners)],
					PublicKey: "bench", RequestID: api.NewID(),
				}
				if i%1000 < len(owners) {
					t.Status, t.ErrorMessage = transfer.StatusError, "the disk at the destination is full"
				}
				if err := tx.SaveTransfer(t); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// forget drops what was written.
func (c *consoleText) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Reset()
}
