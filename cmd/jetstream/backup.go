package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"jetstream/internal/backup"
	"jetstream/internal/server"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer/wire"
)

// stateDirFlag names a state directory of this machine.
type stateDirFlag struct {
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of the server (${default_state_dir})."`
}

// dir returns the directory that is meant.
func (f *stateDirFlag) dir(p *program) (string, error) {
	if f.PersistentStateDir != "" {
		return f.PersistentStateDir, nil
	}
	return stateDir(p.Getenv)
}

// backupCmd is jetstream backup.
type backupCmd struct {
	File string `arg:"" help:"The backup to make, which must not exist; - is standard output."`
	stateDirFlag
}

// Help says what a backup holds.
func (*backupCmd) Help() string {
	return `The server may be running, and goes on meanwhile. The file has all that makes the
server: its key, users, tokens, destinations, transfers, the trigger queue and its
history, and the event log, as they are at one moment. Who has it can pretend to be
this server: keep it as you keep a key. It is for its owner alone (mode 0600).

It does not have: passwords of receivers that transfers under way were given, logins
of the web page and tokens of running scripts; files that were received or are sent;
the trigger scripts; the configuration file and the certificate of the API.

The copy is made beside FILE, or in the state directory for standard output, and
takes twice the size of the database there. jetstream restore makes a server of it.`
}

// Run writes the backup.
func (c *backupCmd) Run(ctx context.Context, p *program) error {
	if c.File == "" {
		return usagef("the name of the backup is empty")
	}
	dir, err := c.dir(p)
	if err != nil {
		return err
	}
	o := backup.Options{StateDir: dir, Version: version, RecvPort: recvPortOf(dir)}
	if o.Host, err = os.Hostname(); err != nil {
		return err
	}
	if c.File != "-" {
		return c.toFile(ctx, p, o)
	}
	if terminal.IsTerminal(p.Stdout) {
		return usagef("a backup holds the server's key and is not for a terminal: give a file, or send standard output to one")
	}
	if o.WorkDir, err = os.MkdirTemp(dir, backupWork); err != nil {
		return fmt.Errorf("the backup cannot be made: %w", err)
	}
	m, err := backup.Write(ctx, o, p.Stdout)
	if err := errors.Join(err, os.RemoveAll(o.WorkDir)); err != nil {
		return failedBackup(ctx, err)
	}
	return c.tell(p, "standard output", m)
}

// backupWork is the pattern of the directories in which backups are made.
const backupWork = ".jetstream-backup-*"

// toFile writes the backup to a file, which gets its name when it is whole.
func (c *backupCmd) toFile(ctx context.Context, p *program, o backup.Options) (err error) {
	path, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return taken(path, err)
	}
	if o.WorkDir, err = os.MkdirTemp(filepath.Dir(path), backupWork); err != nil {
		return fmt.Errorf("the backup cannot be made there: %w", err)
	}
	m, err := writeWhole(ctx, o, path)
	if err := errors.Join(err, os.RemoveAll(o.WorkDir)); err != nil {
		return failedBackup(ctx, err)
	}
	return c.tell(p, path, m)
}

func taken(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already, and a backup never replaces a file: give another name, such as one with the date", path)
	}
	return err
}

func failedBackup(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("the backup was interrupted; nothing is left of it")
	}
	return err
}

// writeWhole writes a backup into the working directory, and gives it its name once it
// is on disk.
func writeWhole(ctx context.Context, o backup.Options, path string) (m backup.Manifest, err error) {
	part := filepath.Join(o.WorkDir, "backup")
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return m, err
	}
	m, err = backup.Write(ctx, o, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return m, err
	}
	if err := nameNew(part, path); err != nil {
		return m, err
	}
	return m, wire.SyncDir(filepath.Dir(path))
}

// nameNew gives a file another name, unless there is a file of that name.
func nameNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return taken(to, err)
	}
	// The file system has no hard links.
	if _, err := os.Lstat(to); err == nil {
		return taken(to, fs.ErrExist)
	}
	return os.Rename(from, to)
}

// recvPortOf returns the receive port of the server that runs on a state directory, 0
// if that is not known.
func recvPortOf(dir string) int {
	var e server.Endpoint
	text, err := os.ReadFile(filepath.Join(dir, server.EndpointFile))
	if err != nil || json.Unmarshal(text, &e) != nil {
		return 0
	}
	return e.RecvPort
}

// tell says on standard error what was backed up, since standard output may have the
// backup.
func (c *backupCmd) tell(p *program, where string, m backup.Manifest) error {
	_, err := terminal.Fprintf(p.Stderr, "backup of server %s to %s: %s of database (schema %d)\n"+
		"Keep it secret: it has the server's key. It has no remote passwords, received files, trigger scripts or configuration.\n",
		m.PublicKey, where, sizeText(m.Files[1].Size), m.Schema)
	return err
}

func sizeText(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
