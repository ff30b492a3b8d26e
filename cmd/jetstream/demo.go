package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"jetstream/internal/client"
	"jetstream/internal/transfer"
)

// demoCmd is jetstream demo: the main job from end to end on this machine.
type demoCmd struct {
	Source string `type:"path" default:"." placeholder:"DIR" help:"Tree to transfer (the working directory)."`
	Size   int64  `name:"size" default:"64" placeholder:"MIB" help:"Size of the extra file of random bytes, in MiB (64)."`
}

const (
	// demoTime bounds the whole demonstration.
	demoTime = 15 * time.Minute
	// demoTreeMax bounds the tree that is copied aside, in bytes.
	demoTreeMax = 4 << 30

	demoTree   = "tree"       // name of the copied tree in ann's sandbox
	demoRandom = "random.bin" // name of the file of random bytes there
	demoInto   = "/incoming"  // where bob gets them
)

// demo is one demonstration on its way.
type demo struct {
	p    *program
	dir  string // everything lies below it
	a, b *site  // ann sends from a; bob receives at b
	step int
}

// Run tells the story and checks every line and byte of it. Whatever happens,
// it leaves nothing behind, unless KEEP=1 asks for it.
func (c *demoCmd) Run(ctx context.Context, p *program) (err error) {
	if runtime.GOOS == "windows" {
		return errors.New("the demonstration's trigger scripts are written for a Unix shell; run it on Linux or macOS")
	}
	if c.Size < 1 || c.Size > 4096 {
		return usagef("--size must be 1 to 4096 MiB")
	}
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "jetstream-demo-")
	if err != nil {
		return err
	}
	d := &demo{p: p, dir: dir}
	keep := p.Getenv("KEEP") != "" && p.Getenv("KEEP") != "0"
	defer func() {
		if keep && err == nil {
			d.farewell()
			return
		}
		err = errors.Join(err, d.cleanUp())
	}()
	if err = d.play(ctx, c); err != nil && ctx.Err() != nil {
		return errors.Join(errors.New("the demonstration was interrupted; everything it had made is removed"), context.Cause(ctx))
	}
	return err
}

func (d *demo) play(ctx context.Context, c *demoCmd) error {
	for _, act := range []func(context.Context) error{
		d.setUp,
		func(context.Context) error { return d.fill(c.Source, c.Size<<20) },
		d.start,
		d.afterLaunch,
		d.transfer,
		d.afterTransfer,
		d.showLogs,
		d.compare,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	d.say("\nAll of it arrived, every script ran, every line and byte is where it belongs.")
	return nil
}

// headline begins another step.
func (d *demo) headline(format string, args ...any) {
	d.step++
	d.say("\n%d. %s", d.step, fmt.Sprintf(format, args...))
}

func (d *demo) say(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		_, _ = fmt.Fprintln(d.p.Stdout, printable(line))
	}
}

// setUp makes both sites' directories and users, as an operator would.
func (d *demo) setUp(ctx context.Context) (err error) {
	if d.dir, err = filepath.EvalSymlinks(d.dir); err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	d.say("JetStream moves files between sites and runs your scripts on everything that happens.")
	d.say("This demonstration starts two real servers on this machine, in %s.", d.dir)
	d.headline("Two sites are set up. Ann works at site A, Bob at site B; each site has its own users.")
	d.a, d.b = newSite(d, binary, "A", "ann"), newSite(d, binary, "B", "bob")
	for _, s := range []*site{d.a, d.b} {
		if err := s.addUsers(ctx); err != nil {
			return err
		}
		d.say("   site %s: users admin and %s were made with `jetstream user add`; %s's files live in %s", s.name, s.user, s.user, s.sandbox())
	}
	return nil
}

// fill puts into Ann's sandbox what she is going to send.
func (d *demo) fill(source string, size int64) error {
	d.headline("Ann's files: the tree %s with everything in it, and a file of random bytes.", source)
	tree := filepath.Join(d.a.sandbox(), demoTree)
	files, bytes, err := copyTree(source, tree, d.dir)
	if err != nil {
		return err
	}
	d.say("   %s: %d files, %s", demoTree, files, humanize.IBytes(unsigned(bytes)))
	if err := writeRandom(filepath.Join(d.a.sandbox(), demoRandom), size); err != nil {
		return err
	}
	d.say("   %s: %s", demoRandom, humanize.IBytes(unsigned(size)))
	return nil
}

// start starts B, then A, whose launch script must know where B receives.
func (d *demo) start(ctx context.Context) error {
	d.headline("Trigger scripts: a file named like an event, in the server's trigger directory, is run when the event happens.")
	if err := d.b.writeScripts(receiverScripts()); err != nil {
		return err
	}
	if err := d.b.start(ctx); err != nil {
		return err
	}
	if err := d.a.writeScripts(senderScripts(d.a.binary, d.a.user, d.b.endpoint.RecvPort)); err != nil {
		return err
	}
	if err := d.a.start(ctx); err != nil {
		return err
	}
	d.headline("The servers are up.")
	for _, s := range []*site{d.a, d.b} {
		d.say("   site %s: control API at http://127.0.0.1:%d, receives transfers on port %d", s.name, s.endpoint.APIPort, s.endpoint.RecvPort)
	}
	return nil
}

// afterLaunch waits for the launch scripts and what they led to.
func (d *demo) afterLaunch(ctx context.Context) error {
	if err := d.b.waitForRun(ctx, "launch"); err != nil {
		return err
	}
	if err := d.a.waitForRun(ctx, "launch"); err != nil {
		return err
	}
	if err := d.a.waitForRun(ctx, "send.destinationCreated"); err != nil {
		return err
	}
	d.headline("Both servers ran their launch script. Site A's made a destination for Ann with `jetstream api`,")
	d.say("   needing no password: a script is given a token of its own. That in turn ran send.destinationCreated.")
	return nil
}

// transfer sends Ann's files through the API, to the destination that the
// launch script made.
func (d *demo) transfer(ctx context.Context) error {
	conn, err := d.a.connect(d.a.user)
	if err != nil {
		return err
	}
	defer conn.Close()
	list, err := client.As[struct {
		Destinations []transfer.Destination `json:"destinations"`
	}](conn.Call(ctx, "send.getDestinations", nil))
	if err != nil {
		return err
	}
	if len(list.Destinations) != 1 {
		return fmt.Errorf("ann has %d destinations; the launch script should have made exactly one", len(list.Destinations))
	}
	destination := list.Destinations[0]
	d.headline("Ann sends: createManifest lists the files, createTransfer sends them to %s:%d as bob.",
		destination.DestinationAddress, destination.DestinationPort)

	s := &sending{conn: conn, p: d.p, label: "   Ann's files"}
	m, err := client.As[transfer.Manifest](conn.Call(ctx, "send.createManifest", map[string]any{
		"fileMappings": map[string]string{"/" + demoTree: "/" + demoTree, "/" + demoRandom: "/" + demoRandom},
	}))
	if err != nil {
		return err
	}
	if m, err = s.waitForManifest(ctx, m); err != nil {
		return err
	}
	t, err := client.As[transfer.Transfer](conn.Call(ctx, "send.createTransfer", map[string]any{
		"manifestId": m.ManifestID, "destinationId": destination.DestinationID,
		"username": d.b.user, "password": d.b.password, "destinationPath": demoInto,
	}))
	if err != nil {
		return err
	}
	d.a.transferID, d.b.transferID = t.TransferID, t.TransferID
	if err := s.watch(ctx, t, target{Host: "site B", Path: demoInto}); err != nil {
		return err
	}
	if err := d.b.waitForRun(ctx, "recv.transferComplete"); err != nil {
		return err
	}
	_, err = conn.Call(ctx, "send.deleteDestination", map[string]any{"destinationId": destination.DestinationID})
	return err
}

func (d *demo) afterTransfer(ctx context.Context) error {
	if err := d.a.waitForRun(ctx, "send.destinationDeleted"); err != nil {
		return err
	}
	d.headline("Site B ran recv.transferComplete with the list of files; Ann deleted her destination, which ran send.destinationDeleted.")
	return nil
}

// showLogs prints what the scripts wrote and checks it against what they must
// have written.
func (d *demo) showLogs(context.Context) error {
	d.headline("What the scripts wrote into their log.txt, beside themselves:")
	sent, err := listFiles(d.a.sandbox())
	if err != nil {
		return err
	}
	var faults error
	for _, s := range []*site{d.a, d.b} {
		expected := s.expectedLog(d.b, sent)
		faults = errors.Join(faults, s.checkLog(expected))
	}
	return faults
}

// compare holds what Bob got against what Ann sent.
func (d *demo) compare(context.Context) error {
	d.headline("Bob's files are held against Ann's, byte by byte.")
	files, bytes, err := compareTrees(d.a.sandbox(), filepath.Join(d.b.sandbox(), filepath.FromSlash(demoInto)))
	if err != nil {
		return err
	}
	d.say("   the same: %d files, %s", files, humanize.IBytes(unsigned(bytes)))
	return nil
}

func (d *demo) farewell() {
	d.say("\nThe servers go on running (KEEP). Look around:")
	var pids strings.Builder
	for _, s := range []*site{d.a, d.b} {
		d.say("   site %s: http://127.0.0.1:%d   log in as admin or %s, password %s   API description at /docs",
			s.name, s.endpoint.APIPort, s.user, s.password)
		_, _ = fmt.Fprintf(&pids, " %d", s.endpoint.PID)
	}
	d.say("   logs, states and files: %s", d.dir)
	d.say("   to end it all: kill%s; rm -r %s", pids.String(), shellQuote(d.dir))
}

// cleanUp stops the servers that run and removes the directory.
func (d *demo) cleanUp() error {
	var err error
	for _, s := range []*site{d.a, d.b} {
		if s != nil {
			err = errors.Join(err, s.stop())
		}
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// newPassword makes a password that nobody can guess.
func newPassword() string { return strings.ToLower(rand.Text()) }
