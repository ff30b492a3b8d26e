package main

import (
	"context"
	"errors"
	"strings"

	"jetstream/internal/terminal"
)

// confirm asks whether what warning says is wanted, unless yes. It returns an
// error if it is not, and a usage error where nobody can be asked.
func (p *program) confirm(ctx context.Context, yes bool, warning string) error {
	if yes {
		return nil
	}
	if _, ok := p.terminal(); !ok {
		return usagef("%s There is no terminal to ask at; give --yes if you want that", warning)
	}
	if _, err := terminal.Fprintf(p.Stderr, "%s\n", warning); err != nil {
		return err
	}
	answer, err := p.askLine(ctx, "Go on? [y/N]")
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was done")
}
