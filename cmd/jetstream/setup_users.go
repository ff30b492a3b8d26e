package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/server"
)

// passwordsFile holds the passwords that setup made up, in the state directory.
const passwordsFile = "initial-passwords"

// users finds out which users are to be made, and gets their passwords.
func (s *setup) users() error {
	var there []account.User
	err := s.p.openUsers(s.ctx, s.conf.StateDir, false, lockWait, func(u users) error {
		return u.Each(s.ctx, func(u account.User) { there = append(there, u) })
	})
	if err != nil && !errors.Is(err, errNoState) {
		return err
	}
	superuser, user := "", ""
	for _, u := range there {
		if u.Superuser {
			superuser = cmp.Or(superuser, u.Name)
		} else if strings.EqualFold(u.Name, s.User) || user == "" {
			user, s.there = u.Name, account.NewUser{Name: u.Name, Sandbox: u.Sandbox}
		}
	}
	if superuser == "" {
		if err := s.addUser("Name of the superuser", s.Superuser, account.FirstUser, true); err != nil {
			return err
		}
	} else if err := s.say("superuser", "%s stands%s", superuser, s.firstPassword(superuser)); err != nil {
		return err
	}
	if user == "" || s.User != "" && !strings.EqualFold(user, s.User) {
		if err := s.addUser("Name of the first user", s.User, s.userByDefault(), false); err != nil {
			return err
		}
	} else if err := s.say("user", "%s stands%s", user, s.otherSandbox()); err != nil {
		return err
	}
	return s.passwords()
}

// firstPassword says where the password of the superuser is whom a server without
// users made.
func (s *setup) firstPassword(superuser string) string {
	file := filepath.Join(s.conf.StateDir, server.PasswordFile)
	if _, err := os.Stat(file); err != nil || superuser != account.FirstUser {
		return ""
	}
	return "; the server made it, with the password in " + file
}

// otherSandbox says that --sandbox changes nothing for a user who is there.
func (s *setup) otherSandbox() string {
	if s.Sandbox == "" || s.Sandbox == s.sandboxOf(s.there) {
		return ""
	}
	return fmt.Sprintf("; its files stay in %s: to change that, jetstream api updateUser --name %s --sandbox %s",
		s.sandboxOf(s.there), api.ShellWord(s.there.Name), api.ShellWord(s.Sandbox))
}

// userByDefault is the person who runs this.
func (s *setup) userByDefault() string {
	for _, name := range []string{s.p.Getenv("SUDO_USER"), s.p.Getenv("USER")} {
		if name != "root" && account.CheckName(name) == nil {
			return name
		}
	}
	return "transfer"
}

func (s *setup) addUser(question, given, byDefault string, superuser bool) (err error) {
	name := given
	if name == "" {
		if name, err = s.ask(question, byDefault); err != nil {
			return err
		}
	}
	if err := account.CheckName(name); err != nil {
		return err
	}
	n := account.NewUser{Name: name, Superuser: superuser}
	if !superuser {
		if n.Sandbox, err = s.sandbox(n); err != nil {
			return err
		}
	}
	for _, other := range s.made {
		if strings.EqualFold(other.Name, name) {
			return usagef("the superuser and the first user must be two: give one of them another name by --superuser or --user")
		}
	}
	s.made = append(s.made, n)
	return nil
}

// sandbox finds the directory of the first user; empty for the server's default.
func (s *setup) sandbox(n account.NewUser) (string, error) {
	if s.Sandbox != "" {
		return s.Sandbox, nil
	}
	byDefault := s.sandboxOf(n)
	dir, err := s.ask("Directory of the files of "+n.Name, byDefault)
	if err != nil || dir == byDefault {
		return "", err
	}
	return kong.ExpandPath(dir), nil
}

// passwords gets the passwords of the users that are to be made.
func (s *setup) passwords() (err error) {
	var lines []string
	if s.PasswordStdin {
		if lines, err = s.passwordLines(); err != nil {
			return err
		}
	}
	for i := range s.made {
		n := &s.made[i]
		switch {
		case s.PasswordStdin:
			n.Password = lines[i]
		case s.Yes:
			n.Password = rand.Text()
		default:
			if n.Password, err = s.p.askTwice(s.ctx, "Password of "+n.Name); err != nil {
				return err
			}
		}
		if err := n.Check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *setup) passwordLines() ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(s.p.Stdin, maxSecret))
	if err != nil {
		return nil, usagef("--password-stdin: standard input: %v", err)
	}
	var lines, names []string
	for line := range bytes.Lines(text) {
		lines = append(lines, strings.TrimRight(string(line), "\r\n"))
	}
	for _, n := range s.made {
		names = append(names, n.Name)
	}
	if len(lines) < len(names) {
		return nil, usagef("--password-stdin: there are %d lines; wanted is one for each of %s", len(lines), strings.Join(names, ", "))
	}
	return lines, nil
}

// directories makes the state directory, the users' and that of the scripts.
func (s *setup) directories() error {
	state := s.conf.StateDir
	if err := s.owner.makeDir(state, 0o700, false); err != nil {
		return err
	}
	if s.conf.TriggerDir != "" {
		mode := os.FileMode(0o755)
		if s.owner.known {
			mode = 0o775 | os.ModeSticky
		}
		if err := s.owner.makeDir(s.conf.TriggerDir, mode, true); err != nil {
			return err
		}
	}
	for _, n := range s.made {
		if n.Superuser {
			continue
		}
		if err := s.owner.makeDir(filepath.Dir(s.sandboxOf(n)), 0o750, false); err != nil {
			return err
		}
		if err := s.owner.makeDir(s.sandboxOf(n), 0o750, false); err != nil {
			return err
		}
	}
	return nil
}

// onlyRead says that nothing can be received in a directory that was there before.
func (s *setup) onlyRead(dir string) string {
	info, err := os.Stat(dir)
	if !s.owner.known || err != nil || mayWrite(info, s.owner.uid) {
		return ""
	}
	return ", where the user " + serviceUser + " does not seem to be able to write: enough to send, nothing is received there"
}

// keepPasswords appends to text the lines of a file of passwords that are of others
// than those who are to be made.
func (s *setup) keepPasswords(file string, text *strings.Builder) error {
	// The directory is the service's, which must not lead root to a file elsewhere.
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	former, err := dir.ReadFile(filepath.Base(file))
	_ = dir.Close()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for line := range strings.Lines(string(former)) {
		name, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(s.made, func(n account.NewUser) bool { return n.Name == name }) {
			text.WriteString(line)
		}
	}
	return err
}

// sandboxOf is the directory of a user.
func (s *setup) sandboxOf(n account.NewUser) string {
	template := cmp.Or(s.conf.SandboxDir, server.DefaultSandboxDir(s.conf.StateDir))
	return cmp.Or(n.Sandbox, strings.ReplaceAll(template, "%u", n.Name))
}

// makeUsers makes the users. Passwords that were made up are on disk before.
func (s *setup) makeUsers() error {
	if len(s.made) == 0 {
		return nil
	}
	made := filepath.Join(s.conf.StateDir, passwordsFile)
	if s.Yes && !s.PasswordStdin {
		var text strings.Builder
		for _, n := range s.made {
			fmt.Fprintf(&text, "%s %s\n", n.Name, n.Password)
		}
		// An earlier run may have ended after it made the first of them.
		if err := s.keepPasswords(made, &text); err != nil {
			return err
		}
		if err := s.owner.replaceFile(made, []byte(text.String()), 0o600, false); err != nil {
			return err
		}
	}
	err := s.p.openUsers(s.ctx, s.conf.StateDir, true, lockWait, func(u users) error {
		for _, n := range s.made {
			if _, err := u.Create(s.ctx, n); err != nil {
				return err
			}
			what, note := "superuser", ""
			if !n.Superuser {
				what, note = "user", "; its files lie in "+s.sandboxOf(n)+s.onlyRead(s.sandboxOf(n))
			}
			if err := s.say(what, "%s was made%s", n.Name, note); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && s.Yes && !s.PasswordStdin {
		err = s.say("passwords", "in %s; remove it once you have kept them", made)
	}
	return err
}
