package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"jetstream/internal/server"
	"jetstream/internal/terminal"
)

// sampleFile is the name of the sample in the trigger directory. It is the name of no
// event, so that it never runs.
const sampleFile = "sample"

const sampleScript = `#!/bin/sh
# A script runs when something happens, if its name is that of the event and it is
# executable. This one would log each transfer that has arrived:
#
#     install -m 755 sample recv.transferComplete
#
# jetstream trigger list shows which scripts there are, jetstream trigger runs what
# they did, and jetstream trigger check what is wrong.
#
# The working directory is this one. Arguments: see the manual of the event.

echo "$(date -u +%FT%TZ) $JETSTREAM_EVENT $*" >> log.txt
`

// sample writes a script to begin with.
func (s *setup) sample() error {
	if s.conf.TriggerDir == "" {
		return s.say("scripts", "none run: trigger-dir is not set in %s", s.config)
	}
	path := filepath.Join(s.conf.TriggerDir, sampleFile)
	err := s.owner.writeFile(path, []byte(sampleScript), 0o644, true)
	switch {
	case errors.Is(err, fs.ErrExist):
		return s.say("scripts", "%s stands", s.conf.TriggerDir)
	case err != nil:
		return err
	}
	return s.say("scripts", "%s, with a sample", s.conf.TriggerDir)
}

// next prints what to try.
func (s *setup) next() error {
	local := "" // finds the server on this machine
	if dir, err := defaultStateDir(withoutServerVariables(s.p.Getenv)); err != nil || dir != s.conf.StateDir {
		if s.config != systemConfig {
			local = " --persistent-state-dir " + quoted(s.conf.StateDir)
		}
	}
	start := "jetstream server --config " + quoted(s.config)
	if s.config == systemConfig {
		start = "jetstream server"
		if s.owner.known {
			start = "systemctl restart jetstream"
		}
	}
	name, box := s.firstUser()
	port := ""
	if s.conf.RecvPort != 8887 {
		port = fmt.Sprintf(":%d", s.conf.RecvPort)
	}
	var lines []string
	switch running := s.p.findSocket(s.ctx, s.conf.StateDir) != ""; {
	case !running, s.owner.known && !s.stood:
		lines = append(lines, "", "Start the server with these settings:", "", "    "+start)
	case !s.stood:
		lines = append(lines, "", "Stop the server that runs, and start it with these settings:", "", "    "+start)
	}
	lines = append(lines, "", "Send a file to "+name+" on this machine:", "",
		"    install -m 644 /etc/hosts "+quoted(filepath.Join(box, "hosts")),
		"    jetstream send"+local+" --accept-key --user "+name+" "+quoted(filepath.Join(box, "hosts"))+" "+name+"@localhost"+port+":/received")
	if server.IsLoopback(s.conf.RecvHost) && s.conf.RecvHost != "" {
		lines = append(lines, "", "Other machines cannot send to this one: recv-host is "+s.conf.RecvHost+" in "+s.config+".")
	} else {
		lines = append(lines, "", "From another machine with a server:", "",
			"    jetstream send FILE "+name+"@"+cmp.Or(s.conf.ExternalAddress, "THIS-HOST")+port+":/received")
	}
	if s.conf.TriggerDir != "" {
		script := filepath.Join(s.conf.TriggerDir, "recv.transferComplete")
		lines = append(lines, "", "Run a script on what arrives, and see what it did:", "",
			"    install -m 755 "+quoted(filepath.Join(s.conf.TriggerDir, sampleFile))+" "+quoted(script),
			"    jetstream trigger emit"+local+" --yes recv.transferComplete",
			"    jetstream trigger runs"+local)
	}
	for _, line := range lines {
		if _, err := terminal.Fprintf(s.p.Stdout, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// firstUser is the user in the examples, and the directory of that user's files.
func (s *setup) firstUser() (name, box string) {
	u := s.there
	for _, n := range s.made {
		if !n.Superuser {
			u = n
		}
	}
	return u.Name, s.sandboxOf(u)
}
