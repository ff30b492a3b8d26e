package triggers

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"jetstream/internal/api"
)

// Script is an event with its script and its runs.
type Script struct {
	Definition Definition
	// File is the path of the script, empty if there is none.
	File string
	// Problems are the findings of the doctor about the file. There may be some
	// without a File.
	Problems []Finding
	// Ended counts the records of the event's runs by status.
	Ended map[Status]int
	// LastRun is the newest run that has ended, or nil.
	LastRun *Run
}

// Scripts returns the scripts of events. others are the findings of the doctor
// about the directory itself and about files without an event. names are the
// names of all events.
func (e *Engine) Scripts(ctx context.Context, events []Definition, names []string) (scripts []Script, others []Finding, err error) {
	outcomes, err := e.o.Store.Outcomes(ctx)
	if err != nil {
		return nil, nil, errUnread(err)
	}
	problems := map[string][]Finding{}
	files := map[string]string{}
	if e.o.Dir != "" {
		seen := inspect(os.Geteuid(), e.o.Dir, names, e.path())
		files = seen.scripts
		for _, f := range seen.findings {
			if event, ok := eventOfFile(f.File, names); ok {
				problems[event] = append(problems[event], f)
			} else {
				others = append(others, f)
			}
		}
	}
	last := map[string]int64{}
	counts := map[string]map[Status]int{}
	for _, o := range outcomes {
		last[o.Event] = max(last[o.Event], o.LastSeq)
		if counts[o.Event] == nil {
			counts[o.Event] = map[Status]int{}
		}
		counts[o.Event][o.Status] = o.Count
	}
	for _, d := range events {
		s := Script{Definition: d, Problems: problems[d.Name], Ended: counts[d.Name]}
		if name := files[d.Name]; name != "" {
			s.File = filepath.Join(e.o.Dir, name)
		}
		if seq := last[d.Name]; seq > 0 {
			page, _, err := e.o.Store.Runs(ctx, Filter{Before: seq + 1, Limit: 1})
			if err != nil {
				return nil, nil, errUnread(err)
			}
			if len(page) > 0 && page[0].Seq == seq {
				s.LastRun = &page[0]
			}
		}
		scripts = append(scripts, s)
	}
	return scripts, others, nil
}

// path returns the PATH of scripts.
func (e *Engine) path() string {
	for _, entry := range e.base {
		if name, value, _ := strings.Cut(entry, "="); name == "PATH" || onWindows && strings.EqualFold(name, "PATH") {
			return value
		}
	}
	return ""
}

// QueueState is the state of the trigger queue in the API.
type QueueState struct {
	Waiting             int             `json:"waiting" doc:"Runs that wait"`
	OldestWaitingTime   api.Time        `json:"oldestWaitingTime" doc:"When the run that has waited longest was queued, or null"`
	OldestWaitingMillis int64           `json:"oldestWaitingMilliseconds" doc:"How long it has waited, in milliseconds; 0 when none waits"`
	Running             []RunningScript `json:"running" doc:"Scripts that run now, the one that has run longest first"`
	Paused              bool            `json:"paused" doc:"Whether no further script is started until resumeTriggers"`
	Order               Order           `json:"order" doc:"Which scripts may run side by side: global, key or none" validate:"oneof=global key none"`
	Concurrency         int             `json:"concurrency" doc:"How many scripts run at a time at most"`
	QueueMax            int             `json:"queueMax" doc:"How many runs may wait before events of API commands are dropped"`
	DroppedFull         int64           `json:"droppedFull" doc:"Events dropped since the start because the queue was full"`
	DroppedLoop         int64           `json:"droppedLoop" doc:"Events dropped since the start because scripts called each other too deep"`
	DroppedUnsaved      int64           `json:"droppedUnsaved" doc:"Events dropped since the start because they could not be saved"`
	Faults              []string        `json:"faults" doc:"What is out of order, a sentence each"`
}

// QueueState returns the state of the queue of runs: how many wait, which run, and
// whether it is paused.
func (e *Engine) QueueState(ctx context.Context) (QueueState, error) {
	h, err := e.Health(ctx)
	if err != nil {
		return QueueState{}, errUnread(err)
	}
	s := QueueState{
		Waiting: h.Waiting, OldestWaitingTime: h.OldestWaiting, Running: append([]RunningScript{}, h.Running...), Paused: h.Paused,
		Order: e.o.Order, Concurrency: e.o.Concurrency, QueueMax: e.limits.Load().QueueMax,
		DroppedFull: h.Dropped[DropFull], DroppedLoop: h.Dropped[DropLoop], DroppedUnsaved: h.Dropped[DropUnsaved],
		Faults: append([]string{}, h.Faults()...),
	}
	if e.o.Order == OrderGlobal {
		s.Concurrency = 1
	}
	if h.OldestWaiting != 0 {
		s.OldestWaitingMillis = int64(max(api.Now()-h.OldestWaiting, 0)) / 1000
	}
	return s, nil
}

// eventOfFile returns the event of a file in the trigger directory.
func eventOfFile(file string, events []string) (event string, ok bool) {
	i := inspection{events: events}
	return i.eventOf(file)
}
