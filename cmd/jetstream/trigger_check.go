package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/server"
	"jetstream/internal/terminal"
	"jetstream/triggers"
)

// triggerCheckCmd is jetstream trigger check: it runs the server's start-up checks
// on a trigger directory, and checks that no sandbox overlaps it.
type triggerCheckCmd struct {
	Dir                string `arg:"" optional:"" type:"path" help:"Trigger directory; else JETSTREAM_SERVER_TRIGGER_DIR."`
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of the server, whose users' sandboxes are looked at (${default_state_dir})."`
	SandboxDir         string `name:"sandbox-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_SANDBOX_DIR" help:"The server's --sandbox-dir."`
	outputFlags
}

// Help says what the exit status means.
func (c *triggerCheckCmd) Help() string {
	return "Exit status 1 means that something is wrong; warnings and notes leave it 0."
}

// Run examines and reports.
func (c *triggerCheckCmd) Run(ctx context.Context, p *program) error {
	dir := c.Dir
	if dir == "" {
		dir = p.Getenv(serverVariables + "TRIGGER_DIR")
	}
	if dir == "" {
		return usagef("name the trigger directory: jetstream trigger check DIR")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	state := c.PersistentStateDir
	if state == "" {
		if state, err = stateDir(p.Getenv); err != nil {
			state = ""
		}
	}
	findings := triggers.InspectFor(ownerOf(state), dir, server.EventNames(), p.Getenv("PATH"))
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
		findings = append(findings, c.overlaps(ctx, p, dir, state)...)
	}
	if c.asJSON() {
		b, err := api.Marshal(struct {
			Dir      string             `json:"dir"`
			Findings []triggers.Finding `json:"findings"`
		}{dir, append([]triggers.Finding{}, findings...)})
		if err == nil {
			err = p.printJSON(b)
		}
		if err != nil {
			return err
		}
	} else if err := printCheck(p.Stdout, dir, findings); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f triggers.Finding) bool { return f.Level == triggers.LevelError }) {
		return errQuiet
	}
	return nil
}

func printCheck(w io.Writer, dir string, findings []triggers.Finding) error {
	if len(findings) == 0 {
		_, err := fmt.Fprintln(w, terminal.Printable(dir)+": nothing is wrong")
		return err
	}
	return printFindings(w, findings)
}

// printFindings prints one line a finding, the worst first.
func printFindings(w io.Writer, findings []triggers.Finding) error {
	var b strings.Builder
	for _, level := range []triggers.Level{triggers.LevelError, triggers.LevelWarning, triggers.LevelNote} {
		for _, f := range findings {
			if f.Level == level {
				fmt.Fprintf(&b, "%s: %s\n", level, terminal.Printable(f.Message))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// overlaps finds sandboxes that overlap the trigger directory: received files
// could become scripts, so the server refuses writes to them.
func (c *triggerCheckCmd) overlaps(ctx context.Context, p *program, dir, state string) []triggers.Finding {
	place := []account.Protected{{What: "trigger directory", Path: dir, Scripts: true}}
	var findings []triggers.Finding
	look := func(whose, sandbox string) {
		if err := account.CheckOverlap(sandbox, account.Read, place); err != nil {
			findings = append(findings, triggers.Finding{Level: triggers.LevelError, Message: whose + ": " + api.ErrorOf(err).Message})
		} else if err := account.CheckOverlap(sandbox, account.Write, place); err != nil {
			findings = append(findings, triggers.Finding{Level: triggers.LevelWarning, Message: whose + ": " + api.ErrorOf(err).Message})
		}
	}
	template := c.SandboxDir
	if template == "" && state != "" {
		template = server.DefaultSandboxDir(state)
	}
	if template != "" {
		look("sandboxes without a directory of their own", server.SandboxRoot(template))
	}
	if state == "" {
		return findings
	}
	err := p.openUsers(ctx, c.PersistentStateDir, false, 0, func(users users) error {
		return users.Each(ctx, func(u account.User) {
			if u.Sandbox != "" {
				look("user "+u.Name, u.Sandbox)
			}
		})
	})
	if err != nil && (c.PersistentStateDir != "" || !errors.Is(err, errNoState)) {
		findings = append(findings, triggers.Finding{Level: triggers.LevelWarning,
			Message: fmt.Sprintf("the users' sandboxes were not checked: %v", err)})
	}
	return findings
}
