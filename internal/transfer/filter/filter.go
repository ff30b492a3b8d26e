// Package filter decides by patterns, as rsync has them, which entries of a tree
// are sent.
//
// A pattern is compared with the path of an entry at the receiver, below the
// directory that the transfer goes to:
//
//   - With a leading / it is the whole path: /reel/tmp.
//   - With a / inside, or with **, it is the end of the path, from the beginning of
//     a name on: cut/tmp.
//   - Else it is the last name of the path: *.tmp.
//   - With a trailing / it is a directory.
//
// * is any number of bytes other than /, ** also of these, ? is one byte other
// than /, and [a-z], [!a-z], [[:digit:]] are one byte of a set. A backslash takes
// the special meaning from the byte after it, in patterns with one of * ? [. At the
// end, /*** is a directory and all that is in it.
package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"jetstream/internal/api"
)

// The limits of the patterns of one filter.
const (
	MaxPatterns = 1000
	MaxLength   = 4 << 10  // bytes of a pattern
	MaxTotal    = 64 << 10 // bytes of all patterns
)

// Error says what is wrong with a pattern or with all of them.
type Error struct {
	List   string // include or exclude
	Reason string // a sentence that names the pattern
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Filter decides which entries are sent. It is for any number of goroutines.
type Filter struct{ include, exclude []pattern }

// New returns the filter of two lists of patterns. Its error is an *Error.
func New(include, exclude []string) (*Filter, error) {
	f := &Filter{}
	total := 0
	for _, l := range []struct {
		name  string
		texts []string
		into  *[]pattern
	}{{"include", include, &f.include}, {"exclude", exclude, &f.exclude}} {
		if len(include)+len(exclude) > MaxPatterns {
			return nil, &Error{l.name, fmt.Sprintf("there are %d patterns to include and exclude by: at most %d are taken",
				len(include)+len(exclude), MaxPatterns)}
		}
		for _, text := range l.texts {
			total += len(text)
			p, fault := compile(text)
			if fault == "" && total > MaxTotal {
				return nil, &Error{l.name, fmt.Sprintf("the patterns to include and exclude by have more than %d bytes together: "+
					"use fewer or shorter ones", MaxTotal)}
			}
			if fault != "" {
				return nil, &Error{l.name, fmt.Sprintf("the %s pattern %s %s", l.name, api.Quote(text), fault)}
			}
			*l.into = append(*l.into, p)
		}
	}
	return f, nil
}

// Empty reports whether everything is kept, as there are no patterns.
func (f *Filter) Empty() bool { return len(f.include)+len(f.exclude) == 0 }

// Keep reports whether an entry is sent: if a pattern to include matches it, or
// none to exclude does. name is its path at the receiver, as that of a manifest's
// entry: /reel/a.mov. The caller asks for a directory before what is in it, and
// does not ask for what is in one that is not kept.
func (f *Filter) Keep(name string, dir bool) bool {
	return name == "/" || len(f.exclude) == 0 || matchAny(f.include, name, dir) || !matchAny(f.exclude, name, dir)
}

func matchAny(list []pattern, name string, dir bool) bool {
	for i := range list {
		if list[i].match(name, dir) {
			return true
		}
	}
	return false
}

// pattern is a compiled pattern.
type pattern struct {
	// dir is whether only directories match, below whether also what is in a
	// directory that matches, and base whether only the last name of a path counts.
	dir, below, base bool
	whole            bool   // the path is compared from its beginning, else from any name on
	literal          string // without special bytes, if states is nil
	states           *automaton
}

// compile returns a pattern, or what is wrong with it, worded to follow it.
func compile(text string) (p pattern, fault string) {
	switch {
	case text == "":
		return p, "is empty"
	case len(text) > MaxLength:
		return p, fmt.Sprintf("has %d bytes: at most %d are taken", len(text), MaxLength)
	case strings.IndexByte(text, 0) >= 0:
		return p, "holds a NUL byte, which no file name can"
	case !utf8.ValidString(text):
		return p, "is not UTF-8: write ? for each of the other bytes"
	}
	text, p.dir = strings.CutSuffix(text, "/")
	wild := strings.ContainsAny(text, "*?[")
	if fault := checkNames(text); fault != "" {
		return p, fault
	}
	p.base = !strings.Contains(text, "/") && !strings.Contains(text, "**")
	p.below = strings.HasSuffix(text, "***")
	p.whole = strings.HasPrefix(text, "/") || strings.HasPrefix(text, "**")
	if !wild {
		p.literal = text
		return p, ""
	}
	p.states, fault = newAutomaton(text)
	return p, fault
}

// checkNames returns why a pattern matches no path, for the names in it.
func checkNames(text string) string {
	for i, name := range strings.Split(text, "/") {
		switch {
		case name == "" && text == "":
			return "names no entry: / is the directory that all is sent to"
		case name == "" && i > 0:
			return "has two / in a row, so that it matches nothing: write one"
		case name == "." || name == "..":
			return "has " + name + " in it, so that it matches nothing: write the path as it is at the receiver, such as /reel/tmp"
		}
	}
	return ""
}

// match reports whether the pattern matches the path of an entry.
func (p *pattern) match(name string, dir bool) bool {
	if p.dir && !dir {
		return false
	}
	if p.base {
		name = name[strings.LastIndexByte(name, '/'):]
	}
	if p.states == nil {
		if p.whole {
			return name == p.literal
		}
		before, ok := strings.CutSuffix(name, p.literal)
		return ok && strings.HasSuffix(before, "/")
	}
	return p.states.match(name, p.whole, p.below && dir)
}
