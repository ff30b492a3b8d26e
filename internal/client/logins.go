package client

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

// Login is a token that is kept for one server.
type Login struct {
	User    string `json:"user"`
	TokenID string `json:"tokenId"`
	Token   string `json:"token"`
	// TLS and CA are how the token was got: it is never sent in the clear to a
	// server that it came from over TLS.
	TLS bool   `json:"tls"`
	CA  string `json:"ca,omitempty"`
}

// Use makes o log in by k.
func (k Login) Use(o *Options) {
	o.Token, o.Kept, o.TLS = k.Token, true, o.TLS || k.TLS
	if o.CAFile == "" {
		o.CAFile = k.CA
	}
}

// Logins keeps logins in a directory, one for each server.
type Logins struct {
	// Dir is made when a login is saved. Empty: there are no logins.
	Dir string
}

// Path is the file of the login for a server.
func (l Logins) Path(host string, port int) string {
	server := net.JoinHostPort(strings.ToLower(strings.Trim(host, "[]")), strconv.Itoa(port))
	return filepath.Join(l.Dir, api.PathEscape(server)+".json")
}

// Load reads the login for a server; ok is false when there is none. A file that
// others can read is refused: it is no secret any more.
func (l Logins) Load(host string, port int) (k Login, ok bool, err error) {
	if l.Dir == "" {
		return k, false, nil
	}
	path := l.Path(host, port)
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

// Save writes the login for a server, readable by the user alone; the file
// appears whole.
func (l Logins) Save(host string, port int, k Login) (err error) {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(l.Dir, "new-*") // made with 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), l.Path(host, port))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
