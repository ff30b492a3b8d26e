package account

import (
	"path/filepath"

	"jetstream/internal/api"
)

// FromLocal translates an absolute path of this machine into the API path of
// the same file in the sandbox. Links in the directory are followed, but not
// the last name, since a link is sent under its own name. Directories that the
// calling process may not read are compared by name. Codes: invalid when a path
// is not absolute, forbidden when abs is outside the sandbox.
func FromLocal(sandboxDir, abs string) (apiPath string, err error) {
	if !filepath.IsAbs(abs) || !filepath.IsAbs(sandboxDir) {
		return "", api.Errorf(api.CodeInvalid, "%q and the sandbox %q must be absolute paths", abs, sandboxDir)
	}
	abs, dir := filepath.Clean(abs), filepath.Clean(sandboxDir)
	if realDir, err := filepath.EvalSymlinks(dir); err == nil {
		if real, err := filepath.EvalSymlinks(abs); err == nil && real == realDir {
			return "/", nil
		}
		if parent, err := realPath(filepath.Dir(abs)); err == nil {
			if rel, inside := below(filepath.Join(parent, filepath.Base(abs)), realDir); inside {
				return asAPIPath(rel), nil
			}
		}
	}
	if rel, inside := below(abs, dir); inside {
		return asAPIPath(rel), nil
	}
	return "", api.Errorf(api.CodeForbidden, "%s is outside your sandbox %s, where the server reads your files: move it there, or have the sandbox changed", abs, sandboxDir)
}

func asAPIPath(rel string) string {
	if rel == "." {
		return "/"
	}
	return "/" + filepath.ToSlash(rel)
}
