package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"jetstream/internal/backup"
	"jetstream/internal/terminal"
)

// restoreCmd is jetstream restore.
type restoreCmd struct {
	File    string `arg:"" help:"The backup; - is standard input. A copy of the database that an upgrade has made is taken too."`
	Replace bool   `name:"replace" help:"Move aside what is in the state directory, into a directory replaced-TIME in it."`
	stateDirFlag
}

// Help says what the restored server does.
func (*restoreCmd) Help() string {
	return `No server may run on the state directory. Everything is checked before anything
changes. The restored server has the key of the one that the backup is of: to its
peers it is that server, which must not run any more.

It begins with its triggers paused, since events may wait whose scripts have run after
the backup was made: look with jetstream trigger runs, cancel what has run, and go on
with jetstream trigger resume. What was being sent is suspended until it is resumed;
transfers that had not logged in at their receiver yet fail, as a backup has no
passwords, and can be sent again with jetstream transfers retry.`
}

// Run restores the backup.
func (c *restoreCmd) Run(ctx context.Context, p *program) error {
	if c.File == "" {
		return usagef("the name of the backup is empty")
	}
	dir, err := c.dir(p)
	if err != nil {
		return err
	}
	from := p.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("the backup cannot be read: %w", err)
		}
		defer f.Close()
		from = f
	}
	r, err := backup.Restore(ctx, backup.RestoreOptions{StateDir: dir, Replace: c.Replace}, from)
	if err != nil && ctx.Err() != nil {
		return errors.New("the restore was interrupted; nothing was changed")
	}
	if err != nil {
		return err
	}
	if err := tellRestored(p.Stdout, dir, r); err != nil {
		return err
	}
	return warnOfTwin(ctx, p, dir, r)
}

// tellRestored says what was restored and what comes next.
func tellRestored(w io.Writer, dir string, r backup.Result) error {
	text := fmt.Sprintf("%s is restored: server %s", terminal.Printable(dir), r.PublicKey)
	if m := r.Manifest; m.PublicKey != "" {
		text += fmt.Sprintf(", as it was on %s at %s", terminal.Printable(m.Host), m.Time.Local().Format(time.DateTime))
	}
	text += "\n"
	if r.Aside != "" {
		text += fmt.Sprintf("What was there is in %s; remove it once nothing of it is missed.\n", terminal.Printable(r.Aside))
	}
	if r.Events == 0 {
		text += "Triggers are paused, and no event waits: jetstream trigger resume lets them run again.\n"
	} else {
		text += fmt.Sprintf("Triggers are paused. %s: those whose scripts ran after the backup would run again.\n"+
			"  jetstream trigger runs --status queued    shows them; jetstream trigger cancel RUN takes one out\n"+
			"  jetstream trigger resume                  lets the others run\n", count(r.Events, "event waits", "events wait"))
	}
	if r.Suspended > 0 {
		text += fmt.Sprintf("%s suspended: jetstream transfers resume goes on with one.\n", count(r.Suspended, "transfer that was being sent is", "transfers that were being sent are"))
	}
	if r.Failing > 0 {
		text += fmt.Sprintf("%s no remote password any more, and will fail: jetstream transfers retry sends one again.\n", count(r.Failing, "transfer has", "transfers have"))
	}
	if r.Receiving > 0 {
		text += fmt.Sprintf("%s: what its sender still sends goes on.\n", count(r.Receiving, "transfer was arriving", "transfers were arriving"))
	}
	text += fmt.Sprintf("Events are numbered from %d on.\n", r.FirstEntry)
	text += "Users, passwords and tokens are those of the backup: what was removed or changed since is as it was.\n" +
		"The trigger scripts, the configuration file and received files are not in a backup: put them in place before you start the server.\n"
	_, err := io.WriteString(w, text)
	return err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// warnOfTwin says whether the server that the backup is of still runs, as far as that can
// be found.
func warnOfTwin(ctx context.Context, p *program, dir string, r backup.Result) error {
	m := r.Manifest
	if m.PublicKey == "" {
		return nil
	}
	var addresses []string
	if m.RecvPort != 0 {
		for _, host := range []string{"127.0.0.1", m.Host} {
			addresses = append(addresses, net.JoinHostPort(host, strconv.Itoa(m.RecvPort)))
		}
	}
	twin, err := backup.Twin(ctx, dir, addresses)
	if err != nil {
		return err
	}
	if twin == "" {
		_, err = terminal.Fprintf(p.Stdout, "The server that the backup is of must not run any more: two with one key disturb each other's transfers. To run both, give this one its own key first: jetstream rekey\n")
		return err
	}
	_, err = terminal.Fprintf(p.Stderr, "jetstream: WARNING: the server that the backup is of still runs, at %s, with the same key. Do not start this one beside it: stop that one, or give this one its own key first: jetstream rekey --persistent-state-dir %s\n",
		twin, filepath.Clean(dir))
	return err
}
