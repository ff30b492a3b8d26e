//go:build unix

package triggers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"jetstream/internal/store"
	"jetstream/triggers"
)

var propertySeed = flag.Uint64("property.seed", 0, "seed of the queue's property test; 0 picks one")

// propertyScript logs its start and its end, each with one write. Depending on
// the number in its parameters it is fast, slow or fails.
const propertyScript = `#!/bin/sh
echo "S $JETSTREAM_EVENT_ID $JETSTREAM_ATTEMPT $1" >> log.txt
case $1 in
*7) read x <> gate ;;
*3|*8) echo "E $JETSTREAM_EVENT_ID $JETSTREAM_ATTEMPT $1" >> log.txt; exit 3 ;;
esac
echo "E $JETSTREAM_EVENT_ID $JETSTREAM_ATTEMPT $1" >> log.txt
`

// Random operations on servers that are killed again and again. In the end the
// executed scripts and the records must be consistent with the contract.
func TestQueueKeepsItsPromisesUnderRandomUse(t *testing.T) {
	seed := *propertySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d; -property.seed=%[1]d does the same again", seed)
	steps := 800
	if testing.Short() {
		steps = 120
	}
	for i, order := range []triggers.Order{triggers.OrderGlobal, triggers.OrderKey, triggers.OrderNone} {
		t.Run(string(order), func(t *testing.T) {
			p := &property{rig: newRig(t, nil), order: order, random: rand.New(rand.NewPCG(seed, uint64(i)))}
			p.script("send.destinationCreated", propertyScript)
			p.fifo("gate")
			p.close() // the servers have the state directory from here on
			p.live(steps)
			p.rig = rigIn(t, p.dir, p.state, nil)
			p.check()
		})
	}
}

// property is a queue with the servers that use it one after another, and the
// operations that were requested.
type property struct {
	*rig
	order  triggers.Order
	random *rand.Rand

	server *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	gate   *os.File

	sent  int
	acked map[string]bool // numbers of the events whose emit was answered
	ended map[string]bool // ids of the runs whose cancellation was answered
	kills int
}

// live performs random steps, then lets the last server finish the queue.
func (p *property) live(steps int) {
	p.acked, p.ended = map[string]bool{}, map[string]bool{}
	var err error
	// Opened for reading and writing, so that the open does not block. Each
	// line releases one script.
	if p.gate, err = os.OpenFile(filepath.Join(p.dir, "gate"), os.O_RDWR, 0); err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = p.gate.Close() }()
	p.start()
	defer func() { _ = p.server.Process.Kill() }()
	for range steps {
		switch n := p.random.IntN(100); {
		case n < 60:
			p.emit(1 + p.random.IntN(4))
		case n < 64:
			p.open()
		case n < 68:
			p.ask("pause")
		case n < 88:
			p.ask("resume")
		case n < 93:
			p.retry()
		case n < 96:
			p.cancel()
		default:
			p.kill()
			p.start()
		}
	}
	p.ask("resume")
	for p.ask("busy") != "0" {
		p.open()
	}
	if got := p.ask("stop"); got != "stopped" {
		p.t.Fatalf("the server said %q at its end", got)
	}
	_ = p.in.Close()
	if err := p.server.Wait(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("%d events, %d of them answered, %d kills", p.sent, len(p.acked), p.kills)
}

func (p *property) start() {
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = exec.Command(exe)
	p.server.Env = append(os.Environ(), "TRIGGERS_TEST_ROLE=property", "TRIGGERS_TEST_DIR="+p.dir, "TRIGGERS_TEST_STATE="+p.state,
		"TRIGGERS_TEST_ORDER="+string(p.order))
	p.server.Stderr = os.Stderr
	if p.in, err = p.server.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.server.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.server.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
}

func (p *property) say(command string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *property) answer() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the server is gone: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *property) ask(command string) string {
	p.t.Helper()
	p.say(command)
	return p.answer()
}

// open releases one slow script, now or later.
func (p *property) open() {
	if _, err := p.gate.WriteString("\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *property) emit(n int) {
	for range n {
		number := strconv.Itoa(p.sent)
		p.sent++
		if got := p.ask("emit " + number); got != "ok" {
			p.t.Fatalf("emit: %s", got)
		}
		p.acked[number] = true
	}
}

// kill kills the server while emits are pending.
func (p *property) kill() {
	for range p.random.IntN(4) {
		p.say("emit " + strconv.Itoa(p.sent))
		p.sent++
	}
	if p.random.IntN(2) == 0 { // after it has begun with them, as far as it likes
		p.say("waiting")
		for p.out.Scan() && p.out.Text() == "ok" {
		}
	}
	if err := p.server.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.server.Wait()
	p.kills++
}

func (p *property) retry() {
	if got := p.ask(fmt.Sprintf("retry %d", p.random.IntN(50))); strings.HasPrefix(got, "error") {
		p.t.Fatal(got)
	}
}

func (p *property) cancel() {
	got := p.ask("cancel " + strconv.Itoa(p.random.IntN(5)))
	if strings.HasPrefix(got, "error") {
		p.t.Fatal(got)
	}
	if id, ok := strings.CutPrefix(got, "cancelled "); ok {
		p.ended[id] = true
	}
}

// propertyServer is a server process of the test. It performs the commands on
// its standard input and answers each with a line.
func propertyServer(dir, state string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db, err := store.Open(ctx, state)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	e, err := triggers.New(triggers.Options{
		Dir: dir, StateDir: state, Store: db.Runs(), Log: slog.New(slog.DiscardHandler), Environ: os.Environ(), Keep: 1 << 20,
		Order: triggers.Order(os.Getenv("TRIGGERS_TEST_ORDER")), Concurrency: 3, Grace: 20 * time.Millisecond,
		ProcessID: strconv.Itoa(os.Getpid()),
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx) }()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		command, arg, _ := strings.Cut(in.Text(), " ")
		if command == "stop" {
			stop()
			if err := <-served; err != nil || db.Close() != nil {
				fmt.Println("error", err)
				return 1
			}
			fmt.Println("stopped")
			return 0
		}
		fmt.Println(propertyCommand(ctx, e, command, arg))
	}
	return 1
}

// propertyCommand performs one command.
func propertyCommand(ctx context.Context, e *triggers.Engine, command, arg string) string {
	fail := func(err error) string { return fmt.Sprint("error ", err) }
	switch command {
	case "emit":
		n, _ := strconv.Atoi(arg)
		ev, err := triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: arg},
			triggers.Cause{Key: "key" + strconv.Itoa(n%5)})
		if err == nil {
			err = e.Emit(ctx, ev)
		}
		if err != nil {
			return fail(err)
		}
	case "pause":
		if err := e.Pause(ctx); err != nil {
			return fail(err)
		}
	case "resume":
		if err := e.Resume(ctx); err != nil {
			return fail(err)
		}
	case "waiting", "busy":
		queued, err := e.Waiting(ctx)
		if err != nil {
			return fail(err)
		}
		running, _, err := e.Runs(ctx, triggers.Filter{Status: triggers.StatusRunning, Limit: 100})
		if err != nil {
			return fail(err)
		}
		return strconv.Itoa(queued + len(running))
	case "retry", "cancel":
		// A run counted from the newest one, in any state.
		page, _, err := e.Runs(ctx, triggers.Filter{Limit: 60})
		i, _ := strconv.Atoi(arg)
		if err != nil || i >= len(page) {
			return "none"
		}
		if command == "retry" {
			_, err = e.Retry(ctx, page[i].RunID)
		} else if _, err = e.Cancel(ctx, page[i].RunID, "the test"); err == nil {
			return "cancelled " + page[i].RunID
		}
		if err != nil {
			return "refused " + err.Error()
		}
	}
	return "ok"
}

// line is one line of the log of the scripts.
type line struct {
	start   bool
	event   string
	attempt int
	number  string
}

// check compares the log of the scripts and the records with the contract.
func (p *property) check() {
	runs := p.records()
	log := p.lines()
	byEvent := map[string][]triggers.Run{}
	numbers := map[string]string{}
	for _, r := range runs {
		byEvent[r.EventID] = append(byEvent[r.EventID], r)
		numbers[numberOf(r)] = r.EventID
		if p.ended[r.RunID] && r.Status == triggers.StatusInterrupted {
			p.t.Errorf("run %s was cancelled, yet interrupted and run again", r.RunID)
		}
	}
	for number := range p.acked {
		if numbers[number] == "" {
			p.t.Errorf("event %s was answered and is lost", number)
		}
	}
	started := map[string]int{}
	for _, l := range log {
		if l.start {
			started[l.event]++
		}
		if !slices.ContainsFunc(byEvent[l.event], func(r triggers.Run) bool { return r.Attempt == l.attempt && numberOf(r) == l.number }) {
			p.t.Errorf("a script ran for %+v, which nobody queued", l)
		}
	}
	for event, attempts := range byEvent {
		if n, err := strconv.Atoi(numberOf(attempts[0])); err != nil || n >= p.sent {
			p.t.Errorf("event %s with number %q was never emitted", event, numberOf(attempts[0]))
		}
		p.checkAttempts(event, attempts, started[event])
	}
	p.checkOrder(runs, log)
}

func numberOf(r triggers.Run) string {
	var d triggers.DestinationParams
	if json.Unmarshal(r.Parameters, &d) != nil {
		return "?"
	}
	return d.Destination
}

// checkAttempts checks that the attempts of an event are numbered from 1
// without gaps, have all ended, and that the script ran unless all were
// cancelled.
func (p *property) checkAttempts(event string, attempts []triggers.Run, started int) {
	ran := false
	for i, r := range attempts {
		if r.Attempt != i+1 {
			p.t.Errorf("event %s: attempt %d stands at place %d", event, r.Attempt, i+1)
		}
		ran = ran || r.Status == triggers.StatusSuccess || r.Status == triggers.StatusFailed
		fails := strings.ContainsAny(numberOf(r)[len(numberOf(r))-1:], "38")
		// Five kills in a row may hit the same run.
		wanted := r.Status == triggers.StatusFailed == fails || r.Status == triggers.StatusFailed && r.Lost == 5
		switch r.Status {
		case triggers.StatusSuccess, triggers.StatusFailed:
			if !wanted {
				p.t.Errorf("event %s, number %s, attempt %d ended as %s: %s", event, numberOf(r), r.Attempt, r.Status, r.ErrorMessage)
			}
		case triggers.StatusInterrupted:
			if i+1 == len(attempts) {
				p.t.Errorf("event %s was interrupted and never tried again", event)
			}
		case triggers.StatusCancelled:
		default:
			p.t.Errorf("event %s, attempt %d is %s at the end", event, r.Attempt, r.Status)
		}
	}
	last := attempts[len(attempts)-1].Status
	if !ran && last != triggers.StatusCancelled || ran && started == 0 {
		p.t.Errorf("event %s: %d starts of its script are in the log, attempts %+v", event, started, attempts)
	}
}

// checkOrder checks that the scripts ran in the order of the queue, and one at
// a time where the contract says so.
func (p *property) checkOrder(runs []triggers.Run, log []line) {
	type key struct {
		event   string
		attempt int
	}
	lane := func(r triggers.Run) string {
		switch p.order {
		case triggers.OrderGlobal:
			return "all"
		case triggers.OrderKey:
			return r.Key
		}
		return r.RunID
	}
	lanes := map[key]string{}
	// The retry of an interrupted event keeps its position.
	place, ended := map[key]int64{}, map[key]triggers.Status{}
	for _, r := range runs {
		k, before := key{r.EventID, r.Attempt}, key{r.EventID, r.Attempt - 1}
		lanes[k], place[k], ended[k] = lane(r), r.Seq, r.Status
		if ended[before] == triggers.StatusInterrupted {
			place[k] = place[before]
		}
	}
	inLane := map[string]key{} // the latest start
	last := map[string]int64{} // its place
	open := map[string]bool{}  // it may still write its end
	for _, l := range log {
		k := key{l.event, l.attempt}
		name := lanes[k]
		if !l.start {
			if inLane[name] != k || !open[name] {
				p.t.Errorf("lane %s: %+v ended while %+v was the one to run: they overlapped", name, k, inLane[name])
			}
			open[name] = false
			continue
		}
		if place[k] < last[name] {
			p.t.Errorf("lane %s: %+v with place %d started after place %d", name, k, place[k], last[name])
		}
		inLane[name], last[name], open[name] = k, place[k], true
	}
	if p.order != triggers.OrderNone {
		return
	}
	// Concurrently, but started in order, according to the records.
	begun := slices.DeleteFunc(slices.Clone(runs), func(r triggers.Run) bool { return r.StartTime == 0 })
	at := func(r triggers.Run) int64 { return place[key{r.EventID, r.Attempt}] }
	slices.SortStableFunc(begun, func(a, b triggers.Run) int { return int(at(a) - at(b)) })
	for i := 1; i < len(begun); i++ {
		a, b := begun[i-1], begun[i]
		if at(a) < at(b) && a.StartTime > b.StartTime && a.Urgent == 0 {
			p.t.Errorf("run %d (place %d) began after run %d (place %d)", a.Seq, at(a), b.Seq, at(b))
		}
	}
}

// records returns all runs in the order of their Seq.
func (p *property) records() []triggers.Run {
	p.t.Helper()
	var all []triggers.Run
	for before := int64(0); ; before = all[len(all)-1].Seq {
		page, more, err := p.db.Runs().Runs(p.t.Context(), triggers.Filter{Before: before, Limit: 1000})
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, page...)
		if !more {
			slices.Reverse(all)
			return all
		}
	}
}

func (p *property) lines() []line {
	p.t.Helper()
	var log []line
	for text := range strings.Lines(p.read("log.txt")) {
		var l line
		var kind string
		if _, err := fmt.Sscan(text, &kind, &l.event, &l.attempt, &l.number); err != nil {
			p.t.Fatalf("line %q: %v", text, err)
		}
		l.start = kind == "S"
		log = append(log, l)
	}
	return log
}
