package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// Entry is a file, directory or link in the result of ls.
type Entry struct {
	Name             string  `json:"name" doc:"Name in its directory; bytes that are no UTF-8 are replaced" column:"1"`
	NameBase64       string  `json:"nameBase64,omitempty" doc:"The exact name in base64, where it is not UTF-8"`
	Path             string  `json:"path" doc:"Path in the caller's sandbox"`
	PathBase64       string  `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	Type             string  `json:"type" doc:"file, directory, link, or other for devices, pipes and sockets" validate:"oneof=file directory link other" column:"2"`
	Size             int64   `json:"size" doc:"Bytes of a file; 0 for everything else" unit:"bytes" column:"4"`
	Mode             string  `json:"mode" doc:"Permission bits as four octal digits, such as 0644" column:"3"`
	MTime            int64   `json:"mtime" doc:"When it was last changed, in microseconds since the Unix epoch; negative before it" unit:"time" column:"5"`
	LinkTarget       *string `json:"linkTarget" doc:"Path in the caller's sandbox that a link leads to; null for all else and for a link that leads outside" column:"6"`
	LinkTargetBase64 string  `json:"linkTargetBase64,omitempty" doc:"The exact linkTarget in base64, where it is not UTF-8"`
}

// List lists a directory, sorted by the bytes of the names: the entries after
// one name, limit at most. Anything but a directory is listed as one entry.
// next is the name that the next page begins after, "" at the end; a page may
// be shorter than limit. Links in the path are followed inside the sandbox.
// Codes: those of account.Service.Sandbox and Resolve; notFound; conflict.
func (s *Service) List(ctx context.Context, principal Principal, apiPath, after string, limit int) (clean string, list []Entry, next string, err error) {
	p, err := s.open(ctx, principal, apiPath, account.Read, true)
	if err != nil {
		return "", nil, "", err
	}
	defer p.close()
	fi, err := p.box.Root.Lstat(p.rel)
	if err != nil {
		return "", nil, "", userError(p.path, err)
	}
	if !fi.IsDir() {
		return p.path, []Entry{p.entry(p.path, fi)}, "", nil
	}
	dir, err := openDir(p.box.Root, p.rel, fi)
	if err != nil {
		return "", nil, "", userError(p.path, err)
	}
	defer dir.Close()
	names, more, err := namesAfter(ctx, dir, after, limit)
	if err != nil {
		return "", nil, "", userError(p.path, err)
	}
	for _, name := range names {
		fi, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return "", nil, "", userError(path.Join(p.path, name), err)
		}
		if !p.box.Forbidden(fi) && !p.isHidden(name) {
			list = append(list, p.entry(path.Join(p.path, name), fi))
		}
	}
	if more {
		next = names[len(names)-1]
	}
	return p.path, list, next, nil
}

// entry makes the Entry of a path from its Lstat.
func (p *location) entry(at string, fi os.FileInfo) Entry {
	e := Entry{Name: path.Base(at), Path: at, Type: "other", Mode: fmt.Sprintf("%04o", fi.Mode().Perm()), MTime: microseconds(fi.ModTime())}
	e.NameBase64, e.PathBase64 = api.Base64Unless(e.Name), api.Base64Unless(e.Path)
	switch {
	case fi.Mode().IsRegular():
		e.Type, e.Size = "file", fi.Size()
	case fi.IsDir():
		e.Type = "directory"
	case fi.Mode()&fs.ModeSymlink != 0:
		e.Type = "link"
		if rel, err := p.resolve(at, true); err == nil {
			target := path.Join(p.principal.Within, rel)
			e.LinkTarget, e.LinkTargetBase64 = &target, api.Base64Unless(target)
		}
	}
	return e
}

// microseconds returns a time in microseconds since the Unix epoch, or the first
// or last that can be expressed.
func microseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second/time.Microsecond):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second/time.Microsecond):
		return math.MinInt64
	}
	return t.UnixMicro()
}

// namesAfter is account.NamesAfter of an opened directory.
func namesAfter(ctx context.Context, dir *os.Root, after string, limit int) (names []string, more bool, err error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return account.NamesAfter(ctx, f, after, limit)
}

// Root is the root of a user's paths.
type Root struct {
	Path       string `json:"path" doc:"Path of the root"`
	PathBase64 string `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	Writable   bool   `json:"writable" doc:"Whether files may be received, made, moved and removed there"`
	Reason     string `json:"reason" doc:"Why it may only be read, or empty"`
}

// Roots lists the one root of the principal's paths. Codes: those of
// account.Service.Sandbox.
func (s *Service) Roots(ctx context.Context, principal Principal) ([]Root, error) {
	root := Root{Path: principal.Within, PathBase64: api.Base64Unless(principal.Within), Writable: true}
	box, err := s.o.Accounts.Sandbox(ctx, principal.User, account.Write)
	if e := api.ErrorOf(err); e != nil && e.Code == api.CodeForbidden {
		root.Writable, root.Reason = false, e.Message
		box, err = s.o.Accounts.Sandbox(ctx, principal.User, account.Read)
	}
	if err != nil {
		return nil, err
	}
	return []Root{root}, box.Close()
}
