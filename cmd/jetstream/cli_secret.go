package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"jetstream/internal/terminal"
)

// maxSecret bounds what is read as a password or another secret, in bytes.
const maxSecret = 64 << 10

// terminal returns standard input's descriptor if it is a terminal.
func (p *program) terminal() (fd int, ok bool) {
	f, ok := p.Stdin.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// ask prompts for a secret without echo. Call it only where terminal says ok.
func (p *program) ask(ctx context.Context, prompt string) (string, error) {
	fd, _ := p.terminal()
	// Raw mode from here to the return, so that an interrupt can restore the
	// terminal's state.
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal cannot be asked: %w", err)
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	dialogue := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{byByte{p.Stdin}, p.Stderr}, "")
	// The read cannot be called off; after an interrupt the process ends and
	// takes it along.
	go func() {
		text, err := dialogue.ReadPassword(terminal.Printable(prompt) + ": ")
		answers <- answer{text, err}
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		a.err = io.EOF
	}
	if err := term.Restore(fd, before); err != nil {
		return "", fmt.Errorf("the terminal could not be set back: %w", err)
	}
	if errors.Is(a.err, io.EOF) { // Ctrl-C or Ctrl-D
		_, _ = fmt.Fprintln(p.Stderr)
		return "", errors.New("interrupted")
	}
	if a.err != nil {
		return "", fmt.Errorf("nothing could be read from the terminal: %w", a.err)
	}
	return a.text, nil
}

// byByte reads one byte at a time, so that input after the line remains for the
// next prompt.
type byByte struct{ io.Reader }

// Read implements io.Reader.
func (r byByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), 1)]) }

// askTwice prompts for a new secret and for its repetition.
func (p *program) askTwice(ctx context.Context, prompt string) (string, error) {
	first, err := p.ask(ctx, prompt)
	if err != nil {
		return "", err
	}
	second, err := p.ask(ctx, "Again")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return first, nil
}

// secretOf reads a secret from where its flag points: @FILE, or @- for
// standard input (asked for without echo on a terminal). A value on the
// command line is refused, since others can see it there, and not repeated.
func (p *program) secretOf(ctx context.Context, flag, given string) (string, error) {
	source, ok := strings.CutPrefix(given, "@")
	if !ok || source == "" {
		return "", usagef("%s takes no value on the command line, where others can see it: give @FILE, or @- for standard input", flag)
	}
	if source == "-" {
		if _, ok := p.terminal(); ok {
			return p.ask(ctx, strings.TrimLeft(flag, "-"))
		}
		return p.secretFromStdin(flag)
	}
	return readSecretFile(flag, source)
}

func (p *program) secretFromStdin(flag string) (string, error) {
	text, err := readSecret(p.Stdin)
	if err != nil {
		return "", usagef("%s: standard input: %v", flag, err)
	}
	return text, nil
}

func readSecretFile(flag, file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", usagef("%s: %v", flag, err)
	}
	defer func() { _ = f.Close() }()
	text, err := readSecret(f)
	if err != nil {
		return "", usagef("%s: %s: %v", flag, file, err)
	}
	return text, nil
}

// readSecret reads the first line, without its line break, or all when there
// is none; anything after the first line is a mistake, not a secret.
func readSecret(r io.Reader) (string, error) {
	all, err := io.ReadAll(io.LimitReader(bufio.NewReader(r), maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(all) > maxSecret {
		return "", fmt.Errorf("over %d KiB; is it the right file?", maxSecret>>10)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(all), "\n"), "\r")
	switch {
	case text == "":
		return "", errors.New("it is empty")
	case strings.ContainsAny(text, "\r\n"):
		return "", errors.New("it holds more than one line; a secret is one line")
	}
	return text, nil
}
