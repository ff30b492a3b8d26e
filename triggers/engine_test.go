//go:build unix

package triggers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/triggers"
)

func TestEventReachesItsScript(t *testing.T) {
	tok := &tokens{alive: map[string]string{}}
	r := newRig(t, func(o *triggers.Options) {
		o.Tokens = tok
		o.Environ = []string{"PATH=/usr/bin:/bin", "HOME=/h", "LC_ALL=C", "SECRET=hush", "WANTED=yes", "JETSTREAM_EVENT=forged",
			"LD_PRELOAD=", "JETSTREAM_SERVER_X=1", "NONSENSE"}
		o.Env = []string{"WANTED", "JETSTREAM_EVENT", "ABSENT"}
	})
	r.script("send.destinationCreated", `#!/bin/sh
tr '\0' '\n' < /proc/$$/environ > env.txt
pwd > pwd.txt
cat "$JETSTREAM_PAYLOAD" > payload.txt
stat -c %a "$JETSTREAM_PAYLOAD" > mode.txt
wc -c > stdin.txt
for a in "$0" "$@"; do echo "<$a>"; done
echo "to the other" >&2
`)
	r.serve()
	r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: "192.0.2.7:8887", Sender: "[2001:db8::1]:8887"},
		triggers.Cause{User: "ann", RequestID: "req-1", Depth: 2}))
	run := r.succeeded()

	if want := "<" + filepath.Join(r.dir, "send.destinationCreated") + ">\n<192.0.2.7:8887>\n<[2001:db8::1]:8887>\n"; run.Stdout.Text != want {
		t.Errorf("arguments were\n%swant\n%s", run.Stdout.Text, want)
	}
	if run.Stderr.Text != "to the other\n" || run.ExitCode == nil || *run.ExitCode != 0 || run.Signal != "" {
		t.Errorf("record is %+v", run)
	}
	if run.User != "ann" || run.RequestID != "req-1" || run.Depth != 3 || run.Attempt != 1 || run.StartTime < run.QueueTime || run.EndTime < run.StartTime {
		t.Errorf("record is %+v", run)
	}
	for name, want := range map[string]string{
		"pwd.txt": r.dir + "\n", "stdin.txt": "0\n", "mode.txt": "600\n",
		"payload.txt": `{"destination":"192.0.2.7:8887","sender":"[2001:db8::1]:8887"}` + "\n",
	} {
		if got := r.read(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	want := []string{"HOME=/h", "JETSTREAM_API_HOST=127.0.0.1", "JETSTREAM_API_PORT=8886", "JETSTREAM_API_TOKEN=token-1",
		"JETSTREAM_ATTEMPT=1", "JETSTREAM_DEPTH=3", "JETSTREAM_EVENT=send.destinationCreated", "JETSTREAM_EVENT_ID=" + run.EventID,
		"JETSTREAM_EVENT_REQUEST_ID=req-1", "JETSTREAM_EVENT_SERVER=uid-1",
		"JETSTREAM_EVENT_TIME=" + run.EventTime.Std().Format("2006-01-02T15:04:05.999999Z"), "JETSTREAM_EVENT_USER=ann",
		"JETSTREAM_FILE_LIST=", "JETSTREAM_PAYLOAD=" + filepath.Join(r.state, "spool", run.RunID+".json"),
		"LC_ALL=C", "PATH=/usr/bin:/bin", "WANTED=yes"}
	got := strings.Split(strings.TrimSpace(r.read("env.txt")), "\n")
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
	if len(tok.alive) != 0 || tok.n != 1 {
		t.Errorf("the token outlived its run: %v", tok.alive)
	}
	r.spoolIsEmpty()
	if r.log.String() != "" || r.console.String() != "" {
		t.Errorf("triggers are silent, but the log has %q, the console %q", r.log, r.console)
	}
}

func (r *rig) spoolIsEmpty() {
	r.t.Helper()
	r.end()
	left, err := os.ReadDir(filepath.Join(r.state, "spool"))
	if err != nil || len(left) != 0 {
		r.t.Errorf("spool still holds %v (%v)", left, err)
	}
}

func TestCommandEventReachesItsScript(t *testing.T) {
	r := newRig(t, nil)
	r.script("on.send.createManifest", "#!/bin/sh\ncat\nprintf '%s\\n' \"$@\" >&2\n")
	r.serve()
	r.emit(commandEvent(`{ "request": "send.createManifest", "parameters": {"a<b>": "&"} }`, "Manifest requested.", `{"n": null}`, triggers.Cause{User: "ann"}))
	run := r.succeeded()
	stdin := `{"command":{"request":"send.createManifest","parameters":{"a<b>":"&"}},"status":"success","message":"Manifest requested.","result":{"n":null}}` + "\n"
	if run.Stdout.Text != stdin || string(run.Parameters)+"\n" != stdin {
		t.Errorf("stdin was %q, the record has %q", run.Stdout.Text, run.Parameters)
	}
	if want := `{"request":"send.createManifest","parameters":{"a<b>":"&"}}` + "\nsuccess\nManifest requested.\n" + `{"n":null}` + "\n"; run.Stderr.Text != want {
		t.Errorf("arguments were\n%swant\n%s", run.Stderr.Text, want)
	}
	r.spoolIsEmpty()
}

func TestWithoutScriptNothingIsQueued(t *testing.T) {
	r := newRig(t, nil)
	r.launch("1")
	none, err := triggers.New(triggers.Options{Store: r.db.Runs()})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := triggers.Launch.Event(triggers.LaunchParams{}, triggers.Cause{})
	if err := none.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.Name = "../" + filepath.Base(r.dir) + "/launch"
	r.script("launch", "")
	if err := r.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Waiting(t.Context()); n != 0 || err != nil {
		t.Errorf("%d runs wait (%v), want none", n, err)
	}
}

func TestQueueSharesTheTransactionOfItsCause(t *testing.T) {
	r := newRig(t, nil)
	r.script("launch", "#!/bin/sh\necho $1\n")
	r.serve()
	undo := errors.New("undo")
	e, _ := triggers.Launch.Event(triggers.LaunchParams{Port: "undone"}, triggers.Cause{})
	if err := r.db.Runs().Update(t.Context(), func(tx triggers.Tx) error { return errors.Join(r.Queue(tx, e), undo) }); !errors.Is(err, undo) {
		t.Fatal(err)
	}
	e, _ = triggers.Launch.Event(triggers.LaunchParams{Port: "done"}, triggers.Cause{})
	if err := r.db.Runs().Update(t.Context(), func(tx triggers.Tx) error { return r.Queue(tx, e) }); err != nil {
		t.Fatal(err)
	}
	if run := r.succeeded(); run.Stdout.Text != "done\n" {
		t.Errorf("ran for %q, want only the committed event", run.Stdout.Text)
	}
}

func TestScriptGetsTheFileList(t *testing.T) {
	list := []triggers.ListedFile{
		{ManifestFile: "reel/a b.mov", FilePath: "/srv/in/reel/a b.mov", Path: "/reel/a b.mov", Size: 7},
		{ManifestFile: "t\ta\rb\nc", FilePath: "/srv/in/t\ta\rb\nc", Path: "/x", Size: 0},
		{ManifestFile: "-rf \xff", FilePath: "/srv/in/-rf \xff", Path: "/y", Size: 1},
		{ManifestFile: "gone", FilePath: "/srv/in/gone", Path: "/gone", Size: 3, Removed: true},
	}
	r := newRig(t, func(o *triggers.Options) { o.Files = files{"key": list} })
	r.script("recv.transferComplete", `echo "Transfer ID ${1} initiated by ${2} is complete." >> log.txt
while IFS="	" read -r manifest_file file_path || [ -n "${manifest_file}" ]; do
  echo manifest file: ${manifest_file}, file path: ${file_path} >> log.txt
done
cat "$JETSTREAM_FILE_LIST" > list.jsonl
`)
	r.serve()
	r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{TransferID: "-id", Username: "bob"}, triggers.Cause{Subject: "key", TransferID: "-id"}))
	r.succeeded()
	want := "Transfer ID -id initiated by bob is complete.\n" +
		"manifest file: reel/a b.mov, file path: /srv/in/reel/a b.mov\n" +
		`manifest file: t\ta\rb\nc, file path: /srv/in/t\ta\rb\nc` + "\n" +
		"manifest file: -rf \xff, file path: /srv/in/-rf \xff\n"
	got := r.read("log.txt")
	// dash's echo turns \t and the like into what they stand for.
	if got = strings.NewReplacer("\ta\rb\nc", `\ta\rb\nc`).Replace(got); got != want {
		t.Errorf("log.txt holds\n%qwant\n%q", got, want)
	}
	var lines []map[string]any
	for line := range strings.Lines(r.read("list.jsonl")) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	wantLines := []map[string]any{
		{"manifestFile": "reel/a b.mov", "filePath": "/srv/in/reel/a b.mov", "path": "/reel/a b.mov", "size": 7.0, "digest": ""},
		{"manifestFile": "t\ta\rb\nc", "filePath": "/srv/in/t\ta\rb\nc", "path": "/x", "size": 0.0, "digest": ""},
		{"manifestFile": "-rf \uFFFD", "filePath": "/srv/in/-rf \uFFFD", "path": "/y", "size": 1.0, "digest": "",
			"manifestFileBase64": "LXJmIP8=", "filePathBase64": "L3Nydi9pbi8tcmYg/w=="},
		{"manifestFile": "gone", "filePath": "/srv/in/gone", "path": "/gone", "size": 3.0, "digest": "", "removed": true},
	}
	if d := cmp.Diff(wantLines, lines); d != "" {
		t.Errorf("JETSTREAM_FILE_LIST (-want +got):\n%s", d)
	}
	r.spoolIsEmpty()
}

func TestSerialInTheOrderOfTheQueue(t *testing.T) {
	r := newRig(t, nil)
	// mkdir fails if another run is executed at the same time.
	r.script("launch", "#!/bin/sh\nmkdir busy || exit 9\necho $1 >> order.txt\nrmdir busy\n")
	r.serve()
	const callers, each = 16, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				e, _ := triggers.Launch.Event(triggers.LaunchParams{Port: fmt.Sprintf("%d-%d", c, i)}, triggers.Cause{})
				if err := r.Emit(context.Background(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range callers * each {
		r.succeeded()
	}
	page, _, err := r.Runs(t.Context(), triggers.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var queued strings.Builder
	for _, run := range slices.Backward(page) {
		var p triggers.LaunchParams
		if err := json.Unmarshal(run.Parameters, &p); err != nil {
			t.Fatal(err)
		}
		queued.WriteString(p.Port + "\n")
	}
	if got := r.read("order.txt"); got != queued.String() {
		t.Errorf("ran in the order\n%squeued in the order\n%s", got, queued.String())
	}
	last := map[string]int{}
	for line := range strings.Lines(r.read("order.txt")) {
		var c, i int
		if _, err := fmt.Sscanf(line, "%d-%d", &c, &i); err != nil {
			t.Fatal(err)
		}
		if last[fmt.Sprint(c)] != i {
			t.Fatalf("caller %d: event %d ran when %d was due", c, i, last[fmt.Sprint(c)])
		}
		last[fmt.Sprint(c)]++
	}
}

func TestLoopEndsAtDepth(t *testing.T) {
	r := newRig(t, nil)
	r.script("on.send.createManifest", "#!/bin/sh\necho $JETSTREAM_DEPTH\n")
	r.script("launch", "#!/bin/sh\necho $JETSTREAM_DEPTH\n")
	r.serve()
	for range 3 {
		r.emit(commandEvent(`{}`, "", `{}`, triggers.Cause{Depth: triggers.MaxDepth}))
	}
	r.emit(commandEvent(`{}`, "", `{}`, triggers.Cause{Depth: triggers.MaxDepth - 1}))
	if run := r.succeeded(); run.Stdout.Text != "8\n" {
		t.Errorf("ran at depth %q, want 8", run.Stdout.Text)
	}
	// Only on.* events are dropped.
	r.emit(triggers.Launch.Event(triggers.LaunchParams{}, triggers.Cause{Depth: triggers.MaxDepth}))
	r.succeeded()
	report, err := r.Report(t.Context())
	if want := (triggers.Report{Ran: 2, Dropped: 3}); report != want || err != nil {
		t.Errorf("report is %+v (%v), want %+v", report, err, want)
	}
	if n := strings.Count(r.log.String(), "event dropped"); n != 1 {
		t.Errorf("the log names the loop %d times, want once a minute:\n%s", n, r.log)
	}
}

func TestTriggerLogShowsRunsAndOutput(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.LogRuns = true })
	path := r.script("launch", "#!/bin/sh\necho hello; printf 'no end' >&2; exit 3\n")
	r.serve()
	r.launch("1")
	run := r.failed("exit status 3")
	r.end()
	for _, want := range []string{"hello\n", "no end\n"} {
		if !strings.Contains(r.console.String(), "[launch] "+want) {
			t.Errorf("the console has %q, want %q", r.console, want)
		}
	}
	log := r.log.String()
	for _, want := range []string{"trigger started", "trigger ended", "script=" + path, "event=launch", "eventId=" + run.EventID,
		"queue=0", "exitCode=3", "duration="} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "hello") {
		t.Errorf("a script's output is in the log:\n%s", log)
	}
}

func TestKeepBoundsTheRecords(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.Keep = 5 })
	r.script("launch", "#!/bin/sh\n")
	r.serve()
	for range 12 {
		r.launch("1")
	}
	for range 12 {
		r.await("ended", func(run triggers.Run) bool { return run.EndTime != 0 })
	}
	r.end()
	page, _, err := r.Runs(t.Context(), triggers.Filter{Limit: 100})
	if err != nil || len(page) != 5 {
		t.Errorf("%d records are kept (%v), want 5", len(page), err)
	}
}

func TestTenThousandRunsCanWait(t *testing.T) {
	r := newRig(t, nil)
	gate := r.fifo("gate")
	r.script("launch", "#!/bin/sh\nread x < gate\n")
	r.serve()
	r.launch("first")
	r.started()
	n := 10_000
	if underRace {
		n = 1000
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range n / 50 {
				e, _ := triggers.Launch.Event(triggers.LaunchParams{Port: "1"}, triggers.Cause{})
				if err := r.Emit(context.Background(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if waiting, err := r.Waiting(t.Context()); waiting != n || err != nil {
		t.Errorf("%d wait (%v), want %d: emitting waits for no script", waiting, err, n)
	}
	// The script is missing, so that the runs end soon.
	if err := os.Remove(filepath.Join(r.dir, "launch")); err != nil {
		t.Fatal(err)
	}
	open(t, gate)
	var last int64
	for range n + 1 {
		run := r.await("ended", func(run triggers.Run) bool { return run.EndTime != 0 })
		if run.Status == triggers.StatusFailed && !strings.Contains(run.ErrorMessage, "is gone") || run.Seq <= last {
			t.Fatalf("run %d ended as %s after run %d: %s", run.Seq, run.Status, last, run.ErrorMessage)
		}
		last = run.Seq
	}
}
