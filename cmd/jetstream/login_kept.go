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
		return client.Logins{}, errors.New("there is no home directory to keep a login in")
	}
	return client.Logins{Dir: filepath.Join(base, "jetstream", "logins")}, nil
}
