package filter

import (
	"strings"
)

// automaton is a pattern as a nondeterministic automaton. State i is that the
// tokens before i have matched; after the last one the pattern has. The time of a
// match is proportional to the lengths of pattern and path.
type automaton struct {
	words int // of a set of states
	// step has for each byte the states from which it leads to the next one, stay
	// those that it does not leave.
	step, stay []uint64
	// skip has the states of * and **, which also match nothing.
	skip []uint64
	last int // the state after all tokens
}

// set is a set of bytes.
type set [4]uint64

func (s *set) add(b byte)      { s[b/64] |= 1 << (b % 64) }
func (s *set) has(b byte) bool { return s[b/64]&(1<<(b%64)) != 0 }

// token matches one byte of the set, or with many any number of them.
type token struct {
	set  set
	many bool
}

// newAutomaton compiles a pattern, or returns what is wrong with it.
func newAutomaton(text string) (a *automaton, fault string) {
	var tokens []token
	for text != "" {
		var t token
		if t, text, fault = nextToken(text); fault != "" {
			return nil, fault
		}
		tokens = append(tokens, t)
	}
	words := len(tokens)/64 + 1
	a = &automaton{words: words, step: make([]uint64, 256*words), stay: make([]uint64, 256*words), skip: make([]uint64, words), last: len(tokens)}
	for i, t := range tokens {
		into := a.step
		if t.many {
			into = a.stay
			a.skip[i/64] |= 1 << (i % 64)
		}
		for b := range 256 {
			if t.set.has(byte(b)) {
				into[b*words+i/64] |= 1 << (i % 64)
			}
		}
	}
	return a, ""
}

// nextToken cuts the first token off a pattern.
func nextToken(text string) (t token, rest, fault string) {
	var all set
	for b := range 256 {
		all.add(byte(b))
	}
	noSlash := all
	noSlash['/'/64] &^= 1 << ('/' % 64)
	switch c := text[0]; c {
	case '*':
		rest = strings.TrimLeft(text, "*")
		t = token{noSlash, true}
		if len(text)-len(rest) > 1 {
			t.set = all
		}
		return t, rest, ""
	case '?':
		return token{noSlash, false}, text[1:], ""
	case '[':
		t.set, rest, fault = class(text[1:])
		for i := range t.set {
			t.set[i] &= noSlash[i]
		}
		return t, rest, fault
	case '\\':
		if len(text) == 1 {
			return t, "", `ends with a backslash: write \\ for one`
		}
		t.set.add(text[1])
		return t, text[2:], ""
	default:
		t.set.add(c)
		return t, text[1:], ""
	}
}

// class reads the set of bytes that follows a [, with its end.
func class(text string) (s set, rest, fault string) {
	unclosed := `has a [ without a ]: write \[ for one that stands for itself`
	negate := text != "" && (text[0] == '!' || text[0] == '^')
	if negate {
		text = text[1:]
	}
	for first := true; ; first = false {
		if text == "" {
			return s, "", unclosed
		}
		if text[0] == ']' && !first {
			break
		}
		if name, after, ok := className(text); ok {
			in, known := classes[name]
			if !known {
				return s, "", "has an unknown class [:" + name + ":]: there are alnum, alpha, blank, cntrl, digit, graph, lower, print, punct, space, upper and xdigit"
			}
			for b := range byte(128) {
				if in(b) {
					s.add(b)
				}
			}
			text = after
			continue
		}
		var from, to byte
		if from, text, fault = member(text, unclosed); fault != "" {
			return s, "", fault
		}
		to = from
		if len(text) > 1 && text[0] == '-' && text[1] != ']' {
			if to, text, fault = member(text[1:], unclosed); fault != "" {
				return s, "", fault
			}
		}
		for b := int(from); b <= int(to); b++ {
			s.add(byte(b))
		}
	}
	if negate {
		for i := range s {
			s[i] = ^s[i]
		}
	}
	return s, text[1:], ""
}

// className cuts the name of a named set, such as [:digit:], off the rest of a class.
func className(text string) (name, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(text, "[:"); !ok {
		return "", "", false
	}
	name, rest, ok = strings.Cut(rest, ":]")
	return name, rest, ok && !strings.Contains(name, "]")
}

// member reads one byte of a class.
func member(text, unclosed string) (b byte, rest, fault string) {
	if text[0] == '\\' {
		text = text[1:]
	}
	if text == "" {
		return 0, "", unclosed
	}
	return text[0], text[1:], ""
}

// classes are the named sets of ASCII bytes.
var classes = map[string]func(b byte) bool{ //nolint:gochecknoglobals // a table that is never written
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha":  isAlpha,
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 127 },
	"digit":  isDigit,
	"graph":  func(b byte) bool { return b > ' ' && b < 127 },
	"lower":  func(b byte) bool { return 'a' <= b && b <= 'z' },
	"print":  func(b byte) bool { return b >= ' ' && b < 127 },
	"punct":  func(b byte) bool { return b > ' ' && b < 127 && !isAlpha(b) && !isDigit(b) },
	"space":  func(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' },
	"upper":  func(b byte) bool { return 'A' <= b && b <= 'Z' },
	"xdigit": func(b byte) bool { return isDigit(b) || 'a' <= b|0x20 && b|0x20 <= 'f' },
}

func isAlpha(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// match reports whether the pattern matches a path to its end: from its beginning
// if whole, else from any name on. A directory's path may be followed by a /, for
// which slash is set.
func (a *automaton) match(path string, whole, slash bool) bool {
	var few [8]uint64
	now := few[:min(a.words, len(few))]
	if a.words > len(few) {
		now = make([]uint64, a.words)
	}
	if whole {
		now[0] = 1
		a.close(now)
	}
	for i := range len(path) {
		a.advance(now, path[i])
		if path[i] == '/' && !whole {
			now[0] |= 1
			a.close(now)
		}
	}
	if slash {
		a.advance(now, '/')
	}
	return now[a.last/64]&(1<<(a.last%64)) != 0
}

// advance goes on by a byte.
func (a *automaton) advance(now []uint64, b byte) {
	step, stay := a.step[int(b)*a.words:], a.stay[int(b)*a.words:]
	carry := uint64(0)
	for w := range now {
		moved := now[w] & step[w]
		now[w] = now[w]&stay[w] | moved<<1 | carry
		carry = moved >> 63
	}
	a.close(now)
}

// close adds the states that are reached without a byte. No * follows another.
func (a *automaton) close(now []uint64) {
	carry := uint64(0)
	for w := range now {
		passed := now[w] & a.skip[w]
		now[w] |= passed<<1 | carry
		carry = passed >> 63
	}
}
