package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// mapSources translates paths of this machine into fileMappings: each source
// as the sandbox's owner sees it, and the name that it gets below the
// destination's path, its own last element. Errors name the sandbox.
func mapSources(sources []string, sandbox string) (map[string]string, error) {
	mappings := map[string]string{}
	names := map[string]string{} // name there -> source here
	for _, source := range sources {
		abs, err := filepath.Abs(source)
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(abs); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s", abs)
		}
		inside, err := account.FromLocal(sandbox, abs)
		if err != nil {
			return nil, errors.New(api.ErrorOf(err).Message)
		}
		name := "/" + filepath.Base(abs)
		if abs == filepath.Dir(abs) {
			return nil, fmt.Errorf("%s has no name that it could have at the other side: send what is in it", abs)
		}
		if other, taken := names[name]; taken && other != abs {
			return nil, fmt.Errorf("%s and %s would both become %s: send them one after the other, to different paths", other, abs, name)
		}
		names[name], mappings[inside] = abs, name
	}
	return mappings, nil
}
