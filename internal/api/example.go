package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ExampleLine returns a typical command line for c. A required secret is read from a
// file that stands for the caller's.
func (c *Command) ExampleLine() string {
	words := []string{"jetstream api", c.Name}
	params := c.ExampleParams()
	for _, f := range c.Params {
		value, given := params[f.Name]
		switch {
		case f.Secret && f.Required:
			words = append(words, "--"+f.Name, "@FILE")
		case given:
			for _, text := range flagValues(value) {
				words = append(words, "--"+f.Name, ShellWord(text))
			}
		}
	}
	return strings.Join(words, " ")
}

// flagValues returns the flag values that encode value.
func flagValues(value any) []string {
	v := reflect.ValueOf(value)
	var texts []string
	switch v.Kind() {
	case reflect.Map:
		for _, key := range v.MapKeys() {
			texts = append(texts, fmt.Sprintf("%v:%v", key, v.MapIndex(key)))
		}
		slices.Sort(texts)
	case reflect.Slice:
		for i := range v.Len() {
			texts = append(texts, fmt.Sprint(v.Index(i)))
		}
	default:
		texts = append(texts, fmt.Sprint(value))
	}
	return texts
}

// ShellWord quotes text as one shell word.
func ShellWord(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@,=") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
