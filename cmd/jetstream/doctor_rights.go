package main

import (
	"context"
	"os"

	"jetstream/internal/server"
	"jetstream/triggers"
)

// checkRights looks whether the server's user can use its directories.
func (d *doctor) checkRights(context.Context) {
	uid := ownerOf(d.stateDir)
	if info, err := os.Stat(d.stateDir); err == nil {
		switch why := stateDirFault(info); {
		case !info.IsDir():
			d.add(levelFail, "rights", "name another with --persistent-state-dir", "the state directory %s is no directory", d.stateDir)
		case why != "":
			d.add(levelFail, "rights", "chmod 700 "+d.stateDir, "%s, which holds keys and passwords, %s", d.stateDir, why)
		default:
			d.add(levelOK, "rights", "", "the state directory %s is its owner's alone", d.stateDir)
		}
	}
	root := server.SandboxRoot(d.sandboxTemplate())
	info, err := os.Stat(root)
	switch {
	case err != nil:
		d.add(levelOK, "rights", "", "the users' files %s are made when they are first used", root)
	case !info.IsDir():
		d.add(levelFail, "rights", "name another with --sandbox-dir", "the directory of the users' files %s is no directory", root)
	case !mayWrite(info, uid):
		d.add(levelWarn, "rights", "give it to that user, or let it in by an ACL, which is not looked at here", "the server's user %s does not seem to be able to write to %s", userName(uid), root)
	default:
		d.add(levelOK, "rights", "", "the server's user %s can write to %s", userName(uid), root)
	}
}

// checkTriggers has the findings of jetstream trigger check.
func (d *doctor) checkTriggers(ctx context.Context) {
	dir := d.settings.TriggerDir
	if d.status != nil {
		dir = d.status.Triggers.Dir
	}
	if dir == "" {
		d.add(levelOK, "triggers", "", "there is no trigger directory (--trigger-dir)")
		return
	}
	check := triggerCheckCmd{PersistentStateDir: d.stateDir, SandboxDir: d.settings.SandboxDir}
	findings := triggers.InspectFor(ownerOf(d.stateDir), dir, server.EventNames(), d.p.Getenv("PATH"))
	if info, err := os.Stat(dir); err == nil && info.IsDir() && d.stateIsThere() {
		findings = append(findings, check.overlaps(ctx, d.p, dir, d.stateDir)...)
	}
	levels := map[triggers.Level]string{triggers.LevelError: levelFail, triggers.LevelWarning: levelWarn, triggers.LevelNote: levelOK}
	for _, f := range findings {
		d.add(levels[f.Level], "triggers", "", "%s", f.Message)
	}
	if len(findings) == 0 {
		d.add(levelOK, "triggers", "", "nothing is wrong with the scripts in %s", dir)
	}
}

// stateIsThere reports whether users can be looked up without making or changing
// anything: by the running server.
func (d *doctor) stateIsThere() bool { return d.conn != nil }
