package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// arranged returns args as the parser wants them: a flag that stands before the
// name of the command whose flag it is comes after it, and a negative number is
// joined to its flag, as the parser would take it for one. What it does not know
// it leaves to the parser.
func arranged(root *kong.Node, args []string) []string {
	var before, early []string
	node := root
	for len(args) > 0 && len(node.Children) > 0 {
		if child := childOf(node, args[0]); child != nil {
			node, before, args = child, append(before, args[0]), args[1:]
			continue
		}
		f := findFlag(node, args[0])
		if f == nil {
			break
		}
		words := 1
		if !f.IsBool() && !strings.Contains(args[0], "=") && len(args) > 1 {
			words = 2
		}
		early, args = append(early, args[:words]...), args[words:]
	}
	if node == root && len(early) > 0 { // there is no command to move them to
		return slices.Concat(early, args)
	}
	return joinNegative(node, slices.Concat(before, early, args))
}

func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return nil
}

// findFlag returns the flag of a command below node that a word gives, or nil.
func findFlag(node *kong.Node, word string) *kong.Flag {
	name, isFlag := strings.CutPrefix(word, "--")
	name, _, _ = strings.Cut(name, "=")
	if !isFlag || name == "help" {
		return nil
	}
	for _, f := range node.Flags {
		if f.Name == name {
			return f
		}
	}
	for _, child := range node.Children {
		if f := findFlag(child, word); f != nil {
			return f
		}
	}
	return nil
}

var negative = regexp.MustCompile(`^-[0-9.]`)

// joinNegative rewrites "--flag -1" to "--flag=-1".
func joinNegative(node *kong.Node, args []string) []string {
	joined := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			return append(joined, args[i:]...)
		}
		if f := findFlag(node, word); f != nil && !f.IsBool() && !strings.Contains(word, "=") && i+1 < len(args) && negative.MatchString(args[i+1]) {
			i++
			word += "=" + args[i]
		}
		joined = append(joined, word)
	}
	return joined
}
