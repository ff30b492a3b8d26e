package server

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"jetstream/internal/transfer"
	"jetstream/middleware"
	"jetstream/triggers"
)

// metrics holds the collectors of /metrics. Every label has a bounded set of values:
// declared events, known commands, codes and states.
type metrics struct {
	registry     *prometheus.Registry
	events       map[string]bool // allowed values of the event label
	runs         *prometheus.CounterVec
	runSeconds   prometheus.Histogram
	requests     *prometheus.CounterVec
	requestTimes prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), events: map[string]bool{},
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jetstream_trigger_runs_total", Help: "Runs of trigger scripts that have ended.",
		}, []string{"event", "result"}),
		runSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jetstream_trigger_run_seconds", Help: "How long trigger scripts ran.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 5, 15, 60, 300, 1800, 7200},
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jetstream_api_requests_total", Help: "Processed API commands.",
		}, []string{"command", "status"}),
		requestTimes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jetstream_api_request_seconds", Help: "How long API commands took until their reply.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 60, 600},
		}),
	}
	for _, name := range EventNames() {
		m.events[name] = true
		for _, result := range results() {
			m.runs.WithLabelValues(name, string(result)) // from 0 on, so that the first failure is an increase
		}
	}
	m.registry.MustRegister(m.runs, m.runSeconds, m.requests, m.requestTimes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// results are the states in which runs end.
func results() []triggers.Status {
	return []triggers.Status{triggers.StatusSuccess, triggers.StatusFailed, triggers.StatusTimeout, triggers.StatusCancelled, triggers.StatusInterrupted}
}

// runEnded counts a run. A run queued by an older version may have the name of
// an event that is no longer declared.
func (m *metrics) runEnded(r triggers.Run, took time.Duration) {
	event := r.Event
	if !m.events[event] {
		event = "other"
	}
	m.runs.WithLabelValues(event, string(r.Status)).Inc()
	if took > 0 {
		m.runSeconds.Observe(took.Seconds())
	}
}

// observe counts a command by its declared name.
func (m *metrics) observe(_ context.Context, r *middleware.Record) {
	m.requests.WithLabelValues(r.Command.Name, string(r.Status)).Inc()
	m.requestTimes.Observe(r.Duration.Seconds())
}

// handler serves the metrics, including those read from s at each scrape.
func (m *metrics) handler(s *Server) http.Handler {
	m.registry.MustRegister(present{s})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// present collects the metrics that are read from the server at each scrape.
type present struct{ s *Server }

// Describe implements prometheus.Collector. It describes nothing, which makes
// the collector unchecked: the set of its metrics varies.
func (present) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (p present) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tell := func(kind prometheus.ValueType, name, help string, v float64, pairs ...string) {
		var labels, values []string
		for i := 0; i+1 < len(pairs); i += 2 {
			labels, values = append(labels, pairs[i]), append(values, pairs[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("jetstream_"+name, help, labels, nil), kind, v, values...)
	}
	fail := func(err error) {
		p.s.log.Error("a metric could not be read", "error", err)
		out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
	const gauge = prometheus.GaugeValue

	tell(gauge, "build_info", "1; the labels tell which program this is.", 1,
		"version", p.s.o.Version, "revision", p.s.o.Revision, "goversion", runtime.Version())
	_, healthy := p.s.facts(ctx)
	tell(gauge, "healthy", "1 while /healthz?verbose names no fault.", number(healthy))
	if p.s.certificate != nil {
		if end, err := p.s.certificate.expires(); err != nil {
			fail(err)
		} else {
			tell(gauge, "tls_certificate_expiry_timestamp_seconds", "When the control API's certificate expires.", float64(end.Unix()))
		}
	}
	h, saving, err := p.s.look(ctx)
	if err != nil {
		fail(err)
	}
	age, slow := 0.0, 0.0
	if h.OldestWaiting != 0 {
		age = max(0, time.Since(h.OldestWaiting.Std()).Seconds())
	}
	for _, r := range h.Running {
		if r.HeldUp {
			slow++
		}
	}
	tell(gauge, "trigger_queue_length", "Trigger runs that wait.", float64(h.Waiting))
	tell(gauge, "trigger_queue_oldest_seconds", "How long the oldest of them has waited.", age)
	tell(gauge, "trigger_running", "Scripts that run.", float64(len(h.Running)))
	tell(gauge, "trigger_slow", "Scripts that have run for a minute while others wait.", slow)
	tell(gauge, "trigger_paused", "1 while the queue is paused.", number(h.Paused))
	tell(gauge, "trigger_save_failing", "1 while events or runs cannot be saved.", number(h.SaveFailing))
	tell(gauge, "database_save_failing", "1 while the database takes no changes.", number(saving != nil))
	tell(gauge, "audit_log_failing", "1 while the file of the audit log cannot be written.", number(p.s.auditFault() != nil))
	for reason, n := range h.Dropped {
		tell(prometheus.CounterValue, "trigger_dropped_total", "Events with a script that got no run.", float64(n), "reason", string(reason))
	}
	tell(gauge, "event_streams", "Event streams that are open.", float64(p.s.stream.Followers()))

	totals, err := p.s.db.TransferTotals(ctx)
	if err != nil {
		fail(err)
	}
	counts := map[[2]string]int64{} // every state has a count, so that the first failure is an increase
	for _, status := range []transfer.Status{transfer.StatusPending, transfer.StatusActive, transfer.StatusSuspended, transfer.StatusCancelled, transfer.StatusComplete, transfer.StatusError} {
		counts[[2]string{"send", string(status)}] = 0
	}
	for _, status := range []transfer.Status{transfer.StatusReceiving, transfer.StatusCancelled, transfer.StatusComplete, transfer.StatusError} {
		counts[[2]string{"recv", string(status)}] = 0
	}
	for _, t := range totals {
		counts[[2]string{t.Direction, t.Status}] = t.Count
	}
	for of, n := range counts {
		tell(gauge, "transfers", "Transfers that are kept.", float64(n), "direction", of[0], "status", of[1])
	}
	for direction, n := range map[string]int64{"send": p.s.sender.BytesSent(), "recv": p.s.receiver.BytesReceived()} {
		tell(prometheus.CounterValue, "transfer_bytes_total", "Bytes of files that were moved since the server's start.", float64(n), "direction", direction)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
