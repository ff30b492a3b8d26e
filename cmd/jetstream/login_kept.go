package main

import (
	"errors"
	"path/filepath"
	"runtime"

	"jetstream/internal/client"
)

// logins returns the store of logins made by jetstream login. The error is that
// there is no home directory.
func (p *program) logins() (client.Logins, error) {
	dir, err := settingsDir(p.Getenv)
	if err != nil {
		return client.Logins{}, err
	}
	return client.Logins{Dir: filepath.Join(dir, "logins")}, nil
}

// settingsDir is the directory of this user's settings for JetStream.
func settingsDir(getenv func(string) string) (string, error) {
	base, home := getenv("XDG_CONFIG_HOME"), getenv("HOME")
	switch runtime.GOOS {
	case "windows":
		base, home = getenv("APPDATA"), ""
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
