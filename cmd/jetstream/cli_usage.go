package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"jetstream/internal/api"
)

// usageError is a command line that cannot be carried out: exit status 2.
type usageError struct {
	message string
	help    string // the command that shows help, or empty
	word    string // the word that is not known, or empty
}

func usagef(format string, args ...any) *usageError {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *usageError) Error() string { return e.message }

// usageOf converts the parser's error into a usageError. For an unknown word it
// suggests the nearest known one.
func usageOf(root *kong.Node, err error) *usageError {
	node, path := root, root.Name
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil {
		for _, step := range e.Context.Path {
			if step.Command != nil {
				node = step.Command
				path += " " + node.Name
			}
		}
	}
	u := &usageError{message: err.Error(), help: path + " --help"}
	if strings.HasPrefix(u.message, "expected ") && len(node.Children) > 0 {
		u.message = path + " needs a command"
		return u
	}
	u.message = humanly(u.message)
	// The parser has no type for these; its own guesses know no short names
	// of commands.
	rest, unknownFlag := strings.CutPrefix(err.Error(), "unknown flag ")
	if !unknownFlag {
		var unknownWord bool
		if rest, unknownWord = strings.CutPrefix(err.Error(), "unexpected argument "); !unknownWord {
			return u
		}
	}
	u.word, _, _ = strings.Cut(rest, ", did you mean ")
	if unknownFlag {
		u.message = "unknown flag " + u.word
	} else {
		u.message = fmt.Sprintf("unexpected argument %q", u.word)
		if len(node.Children) > 0 {
			u.message = fmt.Sprintf("%s has no command %q", path, u.word)
		}
	}
	if nearest := api.Nearest(u.word, wordsOf(node, unknownFlag)); u.word == "--version" {
		u.message += "; it is `jetstream --version`"
	} else if nearest != "" {
		u.message += "; did you mean " + nearest + "?"
	}
	return u
}

func wordsOf(node *kong.Node, flags bool) []string {
	var words []string
	if flags {
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				words = append(words, "--"+f.Name)
			}
		}
		return words
	}
	for _, child := range node.Children {
		words = append(append(words, child.Name), child.Aliases...)
	}
	return words
}

var (
	notANumber = regexp.MustCompile(`expected a valid (\d+) bit (u?int) but got (.*)$`)
	noValue    = regexp.MustCompile(`^(--\S+): expected \S+ value but got "(.*)" \((<EOL>|short flag|long flag)\)`)
	noDuration = regexp.MustCompile(`expected duration but got (".*"): time: .*$`)
	absent     = regexp.MustCompile(`^expected "(<.*)"$`)
)

// humanly rephrases a parser message for people.
func humanly(message string) string {
	if m := absent.FindStringSubmatch(message); m != nil {
		return m[1] + " is missing"
	}
	if m := noValue.FindStringSubmatch(message); m != nil {
		if m[3] == "<EOL>" {
			return m[1] + " needs a value"
		}
		return fmt.Sprintf("%s needs a value, and %s looks like a flag: if it is meant, write %s=%s", m[1], m[2], m[1], m[2])
	}
	message = noDuration.ReplaceAllString(message, "$1 is no duration, such as 30s, 10m or 24h")
	m := notANumber.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	bits, _ := strconv.Atoi(m[1])
	if bits < 1 || bits > 64 {
		return message
	}
	text := m[3] + " is no whole number"
	switch {
	case m[2] == "uint":
		text += fmt.Sprintf(" from 0 to %d", ^uint64(0)>>(64-bits))
	case bits < 64:
		text += fmt.Sprintf(" from %d to %d", int64(-1)<<(bits-1), ^(int64(-1) << (bits - 1)))
	}
	return notANumber.ReplaceAllLiteralString(message, text)
}
