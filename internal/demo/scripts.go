package demo

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The scripts write into log.txt beside themselves: the working directory of
// a trigger script is the trigger directory.
const (
	launchEcho = `echo "JetStream server Launched on port "$1 >> log.txt`

	createdScript = `#!/bin/sh
echo "Sender "$2" created destination "$1 >> log.txt
`
	deletedScript = `#!/bin/sh
echo "Sender "$2" deleted destination "$1 >> log.txt
`
	completeScript = "#!/bin/sh\n" +
		`echo "Transfer ID ${1} initiated by ${2} is complete." >> log.txt` + "\n" +
		"while IFS=\"\t\" read -r manifest_file file_path || [ -n \"${manifest_file}\" ]; do\n" +
		`  printf 'manifest file: %s, file path: %s\n' "${manifest_file}" "${file_path}" >> log.txt` + "\n" +
		"done\n"
)

// receiverScripts are site B's.
func receiverScripts() map[string]string {
	return map[string]string{
		"launch":                "#!/bin/sh\n" + launchEcho + "\n",
		"recv.transferComplete": completeScript,
	}
}

// senderScripts are site A's: its launch also makes user's destination.
func senderScripts(binary, user string, recvPort int) map[string]string {
	return map[string]string{
		"launch": fmt.Sprintf("#!/bin/sh\n%s\n%s api --user %s createDestination --destinationAddress 127.0.0.1 --destinationPort %d --sendRateMax=100000\n",
			launchEcho, shellQuote(binary), user, recvPort),
		"send.destinationCreated": createdScript,
		"send.destinationDeleted": deletedScript,
	}
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeScripts puts the scripts into the trigger directory and shows them.
func (s *site) writeScripts(scripts map[string]string) error {
	for _, event := range slices.Sorted(maps.Keys(scripts)) {
		s.d.say("   site %s, script %s:", s.name, event)
		for line := range strings.Lines(scripts[event]) {
			if !strings.HasPrefix(line, "#!") {
				s.d.say("      %s", strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", `<TAB>`))
			}
		}
		if err := os.WriteFile(filepath.Join(s.triggerDir(), event), []byte(scripts[event]), 0o700); err != nil { //nolint:gosec // a script must be executable
			return err
		}
	}
	return nil
}

// expectedLog is what the site's scripts must have written, each line once.
// sent are the files that receiver got, as slash-separated names.
func (s *site) expectedLog(receiver *site, sent []string) []string {
	lines := []string{fmt.Sprintf("JetStream server Launched on port %d", s.endpoint.APIPort)}
	if s != receiver {
		from := fmt.Sprintf("127.0.0.1:%d", s.endpoint.RecvPort)
		to := fmt.Sprintf("127.0.0.1:%d", receiver.endpoint.RecvPort)
		return append(lines, "Sender "+from+" created destination "+to, "Sender "+from+" deleted destination "+to)
	}
	lines = append(lines, fmt.Sprintf("Transfer ID %s initiated by %s is complete.", s.transferID, s.user))
	escape := strings.NewReplacer("\t", `\t`, "\r", `\r`, "\n", `\n`)
	for _, name := range sent {
		path := filepath.Join(s.sandbox(), filepath.FromSlash(incoming), filepath.FromSlash(name))
		lines = append(lines, escape.Replace("manifest file: /"+name+", file path: "+path))
	}
	return lines
}

const (
	logHead = 8 // lines of a long log.txt that are shown of its beginning
	logTail = 4 // and of its end
)

// checkLog prints the site's log.txt and tells which lines it lacks or has
// too many. The files' lines may come in any order; all others come first and
// in the order of expected.
func (s *site) checkLog(expected []string) error {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return fmt.Errorf("the scripts of site %s wrote no log: %w", s.name, err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	s.d.say("   site %s, %s:", s.name, s.logFile())
	for i, line := range lines {
		switch {
		case len(lines) <= logHead+logTail+1 || i < logHead || i >= len(lines)-logTail:
			s.d.say("      %s", line)
		case i == logHead:
			s.d.say("      ... %d more lines ...", len(lines)-logHead-logTail)
		}
	}
	return diffLines(s.name, lines, expected)
}

func diffLines(name string, lines, expected []string) error {
	isFile := func(line string) bool { return strings.HasPrefix(line, "manifest file: ") }
	order := func(all []string) []string { return slices.DeleteFunc(slices.Clone(all), isFile) }
	count := map[string]int{}
	for _, line := range expected {
		count[line]++
	}
	for _, line := range lines {
		count[line]--
	}
	var faults []error
	for _, line := range slices.Sorted(maps.Keys(count)) {
		switch n := count[line]; {
		case n > 0:
			faults = append(faults, fmt.Errorf("the log of site %s lacks the line %q", name, line))
		case n < 0:
			faults = append(faults, fmt.Errorf("the log of site %s has a line too many: %q", name, line))
		}
	}
	if faults == nil && !slices.Equal(order(lines), order(expected)) {
		faults = append(faults, fmt.Errorf("the lines in the log of site %s are not in the order of the events", name))
	}
	const most = 10
	if n := len(faults); n > most {
		faults = append(faults[:most], fmt.Errorf("and %d more", n-most))
	}
	return errors.Join(faults...)
}
