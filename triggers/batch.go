package triggers

import "strings"

// maxBatchLine bounds the line that runs a batch file: cmd.exe takes 8,191
// characters, of which 300 are kept for its own path and switches, which
// CreateProcess puts before ours. Counted in bytes, which are never fewer.
const maxBatchLine = 8191 - 300

// perArgument is what an argument costs beyond itself: a space, two quotes.
const perArgument = 3

// batchArguments makes arguments safe for the Windows batch file at path,
// whose line cmd.exe parses again: one that holds a character with a meaning
// there (inside quotes too), or that makes the line too long, becomes "-". The
// payload has them all.
func batchArguments(path string, args []string) []string {
	out := make([]string, len(args))
	left := maxBatchLine - len(path) - 2 - (perArgument+len("-"))*len(args)
	for i, a := range args {
		if strings.ContainsFunc(a, meansSomethingToBatch) || len(a) > left {
			a = "-"
		}
		left -= len(a)
		out[i] = a
	}
	return out
}

// meansSomethingToBatch tells whether quotes do not keep r from acting in a
// batch file. Of the control characters only the tab is harmless.
func meansSomethingToBatch(r rune) bool {
	return strings.ContainsRune("&<>()@^|%!\"\x7f", r) || r < ' ' && r != '\t'
}

// batchLine is the line that runs a batch file. cmd.exe divides it not only at
// spaces, but at tabs, commas, semicolons and equals signs too, so whatever is
// not plain stands in quotes; a plain one stays without, as echo would show
// them. args come from batchArguments.
func batchLine(path string, args []string) string {
	var b strings.Builder
	b.WriteString(`"` + path + `"`)
	for _, a := range args {
		b.WriteByte(' ')
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return !plainInBatch(r) }) {
			a = `"` + a + `"`
		}
		b.WriteString(a)
	}
	return b.String()
}

func plainInBatch(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune(`._:/\[]+-`, r)
}

// isBatch tells whether Windows runs the file by cmd.exe. It ignores what
// Windows ignores at the end of a name.
func isBatch(path string) bool {
	path = strings.ToLower(strings.TrimRight(path, ". "))
	return strings.HasSuffix(path, ".bat") || strings.HasSuffix(path, ".cmd")
}
