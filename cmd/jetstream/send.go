package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/transfer"
	"jetstream/internal/watch"
)

// sendCmd is jetstream send: destination, manifest and transfer through the
// local server, watched to the end.
type sendCmd struct {
	callFlags `group:"Login to the local server:"`
	Conflict  string `default:"changed" complete:"send.createTransfer.conflict" help:"What happens when a file exists there: changed replaces it where size or time differ, update where it is older; or overwrite, skip, rename or fail (changed)."`
	Checksum  bool   `help:"With --conflict changed: compare files of the same size by their digests instead of their times. Both ends read them."`
	DryRun    bool   `name:"dry-run" help:"Ask the receiver what would be sent, print that, and send nothing."`
	Rate      string `placeholder:"RATE" help:"Highest rate to that server, kept for later transfers: 100M or 1.5G (bit/s), or a number of kbit/s; 0 is no limit."`
	Priority  int    `default:"100" help:"Of the transfers to that server those with a lower number go first (100)."`
	OnError   string `default:"stop" complete:"send.createTransfer.onError" help:"What happens when a file cannot be read or placed: stop, or continue with the others (stop)."`
	filterFlags
	mirrorFlags
	deleteFlags
	followFlags
	keyFlags
	jsonFlag
	Paths []string `arg:"" name:"source" complete:"destinations" help:"Files and directories of this machine, inside your sandbox; last of all [USER@]HOST[:PORT]:/PATH. PORT is the receive port (8887)."`
}

// Help describes the arguments beyond their one line each.
func (c *sendCmd) Help() string {
	return "`jetstream send ./reel bob@site-b:/incoming` puts the file or directory at /incoming/reel in bob's sandbox. " +
		"`--exclude '*.tmp' --exclude /reel/cut/` leaves out what these patterns match; `find reel -name '*.mov' -print0 | jetstream send --from0 --files-from - bob@site-b:/incoming` sends what find has found. " +
		"On a terminal Ctrl-C asks whether to cancel the transfer, to leave it to the server, or to go on; elsewhere an interrupt cancels it. " +
		"When the terminal is closed it goes on: `jetstream transfers watch last` shows it again. " +
		"Exit status 0 means complete: every file verified and on disk there."
}

// Run sends and watches.
func (c *sendCmd) Run(ctx context.Context, p *program) error {
	return c.report(p, c.run(ctx, p))
}

func (c *sendCmd) run(ctx context.Context, p *program) error {
	if err := c.filterFlags.check(len(c.Paths) - 1); err != nil {
		return err
	}
	if slices.Contains(c.Paths, "") {
		return usagef("a SOURCE is empty")
	}
	last := len(c.Paths) - 1
	to, err := transfer.ParseTarget(c.Paths[last])
	if err != nil {
		return usagef("%v", err)
	}
	if err := c.followFlags.check(); err != nil {
		return err
	}
	if err := c.mirrorFlags.check(c.Conflict, c.FilesFrom, c.DeleteSource); err != nil {
		return err
	}
	conn, user, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	return ofLocalServer(conn, c.send(ctx, p, conn, user, to))
}

// ofLocalServer names the local server in an error by which it refuses the
// login: the receiver may refuse one too.
func ofLocalServer(conn *client.Client, err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeUnauthorized {
		return api.Wrap(err, e.Code, "the local server %s refused the login: %s; give --user NAME and its password in %s, or use jetstream login",
			conn.Address(), e.Message, passwordVariable)
	}
	return err
}

func (c *sendCmd) send(ctx context.Context, p *program, conn *client.Client, user string, to transfer.Target) error {
	last := len(c.Paths) - 1
	if user == "" && conn.BySocket() {
		var err error
		if user, err = onlyUser(ctx, conn); err != nil {
			return err
		}
		conn = conn.ActAs(user)
	}
	if to.User = cmp.Or(to.User, user); to.User == "" {
		return usagef("name the receiver's user: USER@%s", c.Paths[last])
	}
	info, err := client.As[handlers.ServerInfo](conn.Call(ctx, "getServerInfo", nil))
	if err != nil {
		return err
	}
	if info.Sandbox == "" {
		return api.Errorf(api.CodeUnauthorized, "the server at %s does not say where your files are: log in as a user with "+
			"--user NAME or JETSTREAM_API_TOKEN", conn.Address())
	}
	mappings, shown, err := c.mappings(p, c.Paths[:last], info.Sandbox, c.OnError == "continue")
	if err != nil {
		return err
	}
	if err := c.agree(ctx, p, conn, to); err != nil {
		return err
	}
	password, err := c.remotePassword(ctx, p, to)
	if err != nil {
		return err
	}
	ctx = c.begin(ctx, p)
	defer c.end()
	w := &watch.Watcher{Conn: conn, Stdout: p.Stdout, Stderr: p.Stderr, Label: shown, JSON: c.JSON, OnInterrupt: c.choose}
	return c.transmit(ctx, p, conn, w, mappings, to, password)
}

// onlyUser returns the server's only user; an error if there are several.
func onlyUser(ctx context.Context, conn *client.Client) (string, error) {
	const most = 5 // users named in the error
	list, err := client.As[struct {
		Users []account.User `json:"users"`
	}](conn.Call(ctx, "getUsers", map[string]any{"limit": most + 1}))
	if err != nil {
		return "", err
	}
	var names []string
	for _, u := range list.Users {
		names = append(names, u.Name)
	}
	switch n := len(names); {
	case n == 1:
		return names[0], nil
	case n == 0:
		return "", usagef("the server has no users: make one with `jetstream user add NAME`")
	case n > most:
		names = append(names[:most], "...")
	}
	return "", usagef("whose files are they? The server has several users: give --user NAME (%s)", strings.Join(names, ", "))
}

// label names the sources for display; "." is replaced by the directory's name.
func label(sources []string) string {
	name := filepath.Base(sources[0])
	if abs, err := filepath.Abs(sources[0]); err == nil {
		name = filepath.Base(abs)
	}
	if len(sources) > 1 {
		name += fmt.Sprintf(" and %d more", len(sources)-1)
	}
	return name
}

// transmit creates destination, manifest and transfer and, unless Detach is set, watches
// the transfer to its end. On an interrupt it deletes what it has created.
func (c *sendCmd) transmit(ctx context.Context, p *program, conn *client.Client, w *watch.Watcher, mappings map[string]string, to transfer.Target, password string) error {
	destination := map[string]any{"destinationAddress": to.Host}
	if to.Port != 0 {
		destination["destinationPort"] = to.Port
	}
	if c.Rate != "" {
		rate, err := parseRate(c.Rate)
		if err != nil {
			return usagef("--rate: %v", err)
		}
		destination["sendRateMax"] = rate
	}
	if c.key != "" {
		destination["destinationPublicKey"] = c.key
	}
	d := transfer.Destination{}
	if !c.DryRun {
		var err error
		if d, err = client.As[transfer.Destination](conn.Call(ctx, "send.createDestination", destination)); err != nil {
			return err
		}
	}
	// Creations are not cancelled with ctx: without the answer the id of what
	// was created, and so the way to delete it, would be lost.
	manifest := c.manifest(c.OnError)
	setBytes(manifest, "fileMappings", mappings)
	m, err := client.As[transfer.Manifest](conn.Call(context.WithoutCancel(ctx), "send.createManifest", manifest))
	if err != nil {
		return err
	}
	if m, err = w.Manifest(ctx, m); err != nil {
		if ctx.Err() != nil {
			return w.Interrupted(ctx, "send.deleteManifest", map[string]any{"manifestId": m.ManifestID}, "nothing was sent")
		}
		return err
	}
	if err := c.nothingLeft(ctx, conn, m); err != nil {
		return err
	}
	request := map[string]any{
		"manifestId": m.ManifestID, "username": to.User, "password": password,
		"conflict": c.Conflict, "checksum": c.Checksum, "priority": c.Priority, "onError": c.OnError,
	}
	c.mirrorFlags.set(request)
	c.deleteFlags.add(request)
	setBytes(request, "destinationPath", to.Path)
	if c.DryRun {
		return unread(m, c.dryRun(ctx, p, conn, to, request))
	}
	request["destinationId"] = d.DestinationID
	t, err := client.As[transfer.Transfer](conn.Call(context.WithoutCancel(ctx), "send.createTransfer", request))
	if err != nil {
		return err
	}
	return unread(m, c.follow(ctx, w, t, to))
}
