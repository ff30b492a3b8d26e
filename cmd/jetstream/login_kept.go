package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"jetstream/internal/api"
)

// keptLogin is a login that jetstream login has left behind for one server.
type keptLogin struct {
	User    string `json:"user"`
	TokenID string `json:"tokenId"`
	Token   string `json:"token"`
	// TLS and CA are how the token was got: it is never sent in the clear to
	// a server that it came from over TLS.
	TLS bool   `json:"tls"`
	CA  string `json:"ca,omitempty"`
}

// configDir is the directory for the user's own settings; an error says that
// there is no home directory.
func (p *program) configDir() (string, error) {
	base, home := p.Getenv("XDG_CONFIG_HOME"), p.Getenv("HOME")
	switch runtime.GOOS {
	case "windows":
		base, home = p.Getenv("APPDATA"), ""
	case "darwin":
		base = ""
		if home != "" {
			base = filepath.Join(home, "Library", "Application Support")
		}
	}
	if (base == "" || !filepath.IsAbs(base)) && home != "" {
		base = filepath.Join(home, ".config")
	}
	if base == "" || !filepath.IsAbs(base) {
		return "", errors.New("there is no home directory to keep a login in")
	}
	return filepath.Join(base, "jetstream"), nil
}

// keptFile is where the login for the server of l is kept.
func (p *program) keptFile(l *loginFlags) (string, error) {
	dir, err := p.configDir()
	if err != nil {
		return "", err
	}
	server := net.JoinHostPort(strings.ToLower(strings.Trim(l.Host, "[]")), strconv.Itoa(l.Port))
	return filepath.Join(dir, "logins", api.PathEscape(server)+".json"), nil
}

// kept reads the login kept for the server of l; ok is false when there is
// none. A file that others can read is refused: it is no secret any more.
func (p *program) kept(l *loginFlags) (k keptLogin, ok bool, err error) {
	path, err := p.keptFile(l)
	if err != nil {
		return k, false, nil //nolint:nilerr // where nothing can be kept, nothing is
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, false, nil
	}
	var text []byte
	if err == nil {
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			return k, false, fmt.Errorf("%s holds your login and others can read it: run `jetstream logout`, then `jetstream login` again", path)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return k, false, fmt.Errorf("the login that was kept cannot be read: %w", err)
	}
	if err := json.Unmarshal(text, &k); err != nil || k.Token == "" {
		return k, false, fmt.Errorf("%s holds no login; remove it, or run `jetstream login` again", path)
	}
	return k, true, nil
}

// keep writes the login, readable by the user alone; it appears whole.
func (p *program) keep(l *loginFlags, k keptLogin) (err error) {
	path, err := p.keptFile(l)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*") // made with 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
