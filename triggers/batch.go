package triggers

import "strings"

// maxBatchLine is the longest command line of a batch file in bytes. cmd.exe
// allows 8,191 characters, of which 300 are reserved for its path and options,
// which CreateProcess puts before the line.
const maxBatchLine = 8191 - 300

// perArgument is the overhead of an argument: a space and two quotes.
const perArgument = 3

// batchArguments makes arguments safe for the Windows batch file at path, of
// which cmd.exe parses the command line again. An argument with a character
// that is special also inside quotes, or that makes the line too long, becomes
// "-". The payload contains it.
func batchArguments(path string, args []string) []string {
	out := make([]string, len(args))
	left := maxBatchLine - len(path) - 2 - (perArgument+len("-"))*len(args)
	for i, a := range args {
		if strings.ContainsFunc(a, isBatchSpecial) || len(a) > left {
			a = "-"
		}
		left -= len(a)
		out[i] = a
	}
	return out
}

// isBatchSpecial reports whether r is special in a batch file even inside
// quotes.
func isBatchSpecial(r rune) bool {
	return strings.ContainsRune("&<>()@^|%!\"\x7f", r) || r < ' ' && r != '\t'
}

// batchLine returns the command line of a batch file for the results of
// batchArguments. Arguments with characters other than plain ones are quoted,
// since cmd.exe also splits at tabs, commas, semicolons and equals signs. Plain
// ones are not, since echo would show the quotes.
func batchLine(path string, args []string) string {
	var b strings.Builder
	b.WriteString(`"` + path + `"`)
	for _, a := range args {
		b.WriteByte(' ')
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return !isBatchPlain(r) }) {
			a = `"` + a + `"`
		}
		b.WriteString(a)
	}
	return b.String()
}

func isBatchPlain(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune(`._:/\[]+-`, r)
}

// isBatch reports whether Windows runs the file through cmd.exe. Like Windows it
// ignores dots and spaces at the end of the name.
func isBatch(path string) bool {
	path = strings.ToLower(strings.TrimRight(path, ". "))
	return strings.HasSuffix(path, ".bat") || strings.HasSuffix(path, ".cmd")
}
