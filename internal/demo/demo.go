// Package demo shows the main job from end to end on this machine: two servers,
// scripts, a transfer. It checks every line and byte of what happens.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/transfer"
)

// Options say what is shown. All are needed.
type Options struct {
	// Source is the tree that is transferred.
	Source string
	// Size is that of an extra file of random bytes, in bytes.
	Size int64
	// Keep leaves the servers running at the end, until the context ends.
	Keep bool
	// Binary is the jetstream program that a trigger script calls.
	Binary string
	// Server is what both servers have in common: the program's version, and
	// the environment.
	Server server.Options
	// Say prints a line of the story, which may hold names of files.
	Say func(line string)
	// Watch makes what follows the transfer, by conn; label names what is sent.
	Watch func(conn *client.Client, label string) Watcher
}

// Watcher follows what was begun until it has ended, and shows how it gets on.
type Watcher interface {
	Manifest(ctx context.Context, m transfer.Manifest) (transfer.Manifest, error)
	Transfer(ctx context.Context, t transfer.Transfer, to string) error
}

const (
	// totalTime bounds the whole demonstration.
	totalTime = 15 * time.Minute
	// treeMax bounds the tree that is copied aside, in bytes.
	treeMax = 4 << 30

	treeName   = "tree"       // the copied tree in ann's sandbox
	randomName = "random.bin" // the file of random bytes there
	incoming   = "/incoming"  // where bob gets them
)

// demo is one demonstration in progress.
type demo struct {
	Options
	dir  string // everything lies below it
	a, b *site  // ann sends from a; bob receives at b
	step int
}

// Run tells the story. Whatever happens, it leaves nothing behind.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "jetstream-demo-")
	if err != nil {
		return err
	}
	d := &demo{Options: o, dir: dir}
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	limited, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	if err := d.play(limited); err != nil {
		if limited.Err() != nil {
			return errors.Join(errors.New("the demonstration was interrupted; everything it had made is removed"), context.Cause(limited))
		}
		return err
	}
	if o.Keep {
		d.showAround()
		<-ctx.Done()
	}
	return nil
}

func (d *demo) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		d.setUp, d.fill, d.start, d.afterLaunch, d.transfer, d.afterTransfer, d.showLogs, d.compare,
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
		d.Say(line)
	}
}

// setUp makes both sites' directories and users, as an operator would.
func (d *demo) setUp(ctx context.Context) (err error) {
	if d.dir, err = filepath.EvalSymlinks(d.dir); err != nil {
		return err
	}
	d.say("JetStream moves files between sites and runs your scripts on everything that happens.")
	d.say("This demonstration starts two real servers on this machine, in %s.", d.dir)
	d.headline("Two sites are set up. Ann works at site A, Bob at site B; each site has its own users.")
	d.a, d.b = newSite(d, "A", "ann"), newSite(d, "B", "bob")
	for _, s := range []*site{d.a, d.b} {
		if err := s.addUsers(ctx); err != nil {
			return err
		}
		d.say("   site %s: users admin and %s were made, as by `jetstream user add`; %s's files live in %s", s.name, s.user, s.user, s.sandbox())
	}
	return nil
}

// fill puts into Ann's sandbox what she is going to send.
func (d *demo) fill(context.Context) error {
	d.headline("Ann's files: the tree %s with everything in it, and a file of random bytes.", d.Source)
	tree := filepath.Join(d.a.sandbox(), treeName)
	files, size, err := copyTree(d.Source, tree, d.dir)
	if err != nil {
		return err
	}
	d.say("   %s: %d files, %s", treeName, files, bytesOf(size))
	if err := writeRandom(filepath.Join(d.a.sandbox(), randomName), d.Size); err != nil {
		return err
	}
	d.say("   %s: %s", randomName, bytesOf(d.Size))
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
	if err := d.a.writeScripts(senderScripts(d.Binary, d.a.user, d.b.endpoint.RecvPort)); err != nil {
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
	d.headline("Ann sends: createManifest lists the files, createTransfer sends them to %s as bob.",
		net.JoinHostPort(destination.DestinationAddress, strconv.Itoa(destination.DestinationPort)))

	w := d.Watch(conn, "   Ann's files")
	m, err := client.As[transfer.Manifest](conn.Call(ctx, "send.createManifest", map[string]any{
		"fileMappings": map[string]string{"/" + treeName: "/" + treeName, "/" + randomName: "/" + randomName},
	}))
	if err != nil {
		return err
	}
	if m, err = w.Manifest(ctx, m); err != nil {
		return err
	}
	t, err := client.As[transfer.Transfer](conn.Call(ctx, "send.createTransfer", map[string]any{
		"manifestId": m.ManifestID, "destinationId": destination.DestinationID,
		"username": d.b.user, "password": d.b.password, "destinationPath": incoming,
	}))
	if err != nil {
		return err
	}
	d.a.transferID, d.b.transferID = t.TransferID, t.TransferID
	if err := w.Transfer(ctx, t, "site B:"+incoming); err != nil {
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
	tree, _, err := treeOf(d.a.sandbox())
	if err != nil {
		return err
	}
	var sent []string
	for name := range tree {
		if !strings.HasSuffix(name, "/") {
			sent = append(sent, name)
		}
	}
	var faults error
	for _, s := range []*site{d.a, d.b} {
		expected := s.expectedLog(d.b, sent)
		faults = errors.Join(faults, s.checkLog(expected))
	}
	return faults
}

// compare compares what Bob got with what Ann sent.
func (d *demo) compare(context.Context) error {
	d.headline("Bob's files are compared with Ann's, byte by byte.")
	files, size, err := compareTrees(d.a.sandbox(), filepath.Join(d.b.sandbox(), filepath.FromSlash(incoming)))
	if err != nil {
		return err
	}
	d.say("   the same: %d files, %s", files, bytesOf(size))
	return nil
}

func (d *demo) showAround() {
	d.say("\nThe servers go on running (KEEP). Look around:")
	for _, s := range []*site{d.a, d.b} {
		d.say("   site %s: http://127.0.0.1:%d   log in as admin or %s, password %s   API description at /docs",
			s.name, s.endpoint.APIPort, s.user, s.password)
	}
	d.say("   logs, states and files: %s", d.dir)
	d.say("   Ctrl-C stops the servers and removes everything.")
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

func bytesOf(n int64) string { return humanize.IBytes(uint64(n)) }
