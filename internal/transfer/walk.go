package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer/filter"
)

// maxEntries bounds one manifest. Links that multiply a tree without a loop
// could otherwise fill the disk.
const maxEntries = 100_000_000

// totals are the number of files of a manifest, the sum of their sizes, that
// sum without holes, the number of entries that are left out, and how many of
// those could not be read.
type totals struct{ files, size, data, skipped, unread int64 }

// walker lists the files of one manifest. It is for one goroutine. In memory it
// holds one page of entries and, for each directory that it is in, one batch of
// names.
type walker struct {
	e               *Engine
	manifest        string
	owner           account.User
	box             *account.Sandbox
	sources         []source
	filter          *filter.Filter
	continueOnError bool // whether what cannot be read is left out

	page        []ManifestFile
	next        int64 // index of the next entry
	skippedPage []SkippedFile
	totals
	// inside lists the directories that the walk is in, outermost first, by
	// their paths below the sandbox without links.
	inside []string
	// parent is the directory of the last source, in which the next one mostly is too,
	// and parentPath its path in the owner's API; nil if it could not be opened.
	parent     *openDir
	parentPath string
}

// walk writes the file list of a manifest from the beginning and returns its
// totals. Messages of errors name sources by
// their paths in the owner's API.
func (e *Engine) walk(ctx context.Context, m Manifest) (t totals, err error) {
	sources, err := sortedSources(m.FileMappings)
	if err != nil {
		return t, err
	}
	chosen, err := newFilter(m.Include, m.Exclude)
	if err != nil {
		return t, err
	}
	err = e.o.Store.Update(ctx, func(tx Tx) error { return tx.ResetManifestFiles(m.ManifestID) })
	if err != nil {
		return t, notSaved(err)
	}
	owner, err := e.entitled(ctx, m.Owner)
	if err != nil {
		return t, err
	}
	box, err := e.o.Accounts.Confined(ctx, m.Owner, m.Confined, account.Read)
	if err != nil {
		return t, err
	}
	w := &walker{e: e, manifest: m.ManifestID, owner: owner, box: box, sources: sources, filter: chosen, continueOnError: m.OnError == "continue"}
	err = w.run(ctx, sources)
	if closeErr := box.Close(); err == nil {
		err = closeErr
	}
	return w.totals, err
}

// source is one entry of fileMappings, cleaned.
type source struct{ path, name string }

// sortedSources returns the sources sorted by their names at the receiver. Two
// of the same name are a conflict.
func sortedSources(mappings map[string]string) ([]source, error) {
	list := make([]source, 0, len(mappings))
	for _, p := range slices.Sorted(maps.Keys(mappings)) {
		name, err := cleanName(mappings[p])
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "the name %s of source %s %s", api.Quote(mappings[p]), p, err)
		}
		list = append(list, source{p, name})
	}
	slices.SortStableFunc(list, func(a, b source) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(list); i++ {
		if list[i-1].name == list[i].name {
			return nil, api.Errorf(api.CodeConflict, "sources %s and %s would both be called %s: give them different names",
				list[i-1].path, list[i].path, list[i].name)
		}
	}
	return list, nil
}

func (w *walker) run(ctx context.Context, sources []source) error {
	defer w.leave()
	for _, s := range sources {
		if err := w.source(ctx, s); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if len(sources) == 1 {
		return nil // the names of one tree do not clash
	}
	file, below, clash, err := w.e.o.Store.NameClash(ctx, w.manifest)
	if err != nil {
		return notSaved(err)
	}
	if clash {
		return FileAndDir(file, below)
	}
	return nil
}

// source adds what a mapping names.
func (w *walker) source(ctx context.Context, s source) error {
	clean, err := cleanSource(s.path)
	if err != nil {
		return err
	}
	rel, at, name, err := w.find(clean)
	if err != nil {
		return w.fault(ctx, s, nil, err)
	}
	if inStaging(rel) {
		return w.skip(ctx, source{clean, s.name}, skipPartFiles)
	}
	fi, err := inspect(at, name)
	switch {
	case fi != nil && fi.Mode()&fs.ModeSymlink != 0:
		return w.link(ctx, source{clean, s.name})
	case err != nil:
		return w.fault(ctx, s, fi, err)
	case w.box.Forbidden(fi):
		return api.Errorf(api.CodeForbidden, "source %s may not be sent: the server keeps its own state there", s.path)
	}
	return w.entry(ctx, rel, source{clean, s.name}, fi)
}

// find returns the path of a source below the sandbox, without links but a last one, and
// the directory and the name in it by which to look at it.
func (w *walker) find(clean string) (rel string, at *os.Root, name string, err error) {
	dir, base := path.Split(clean)
	if base != "" && w.enter(dir) {
		return path.Join(w.parent.rel, base), w.parent.dir, base, nil
	}
	rel, err = w.box.Resolve(clean, false) // which says what is wrong with the directory
	return rel, w.box.Root, rel, err
}

// enter makes a directory the parent, and reports whether that is open.
func (w *walker) enter(dir string) bool {
	if w.parentPath == dir {
		return w.parent != nil
	}
	w.leave()
	w.parentPath = dir
	rel, err := w.box.Resolve(dir, true)
	if err != nil {
		return false
	}
	w.parent = &openDir{box: w.box, rel: rel}
	if _, err := w.parent.open(); err != nil {
		w.leave()
	}
	return w.parent != nil
}

// leave closes the parent.
func (w *walker) leave() {
	if w.parent != nil {
		w.parent.close()
		w.parent = nil
	}
}

// FileAndDir says that a file has the name of a directory that another entry is
// or needs.
func FileAndDir(file, other ManifestFile) error {
	return api.Errorf(api.CodeConflict, "source %s would be the file %s, which source %s needs as a directory: give them different names",
		file.Source, file.Name, other.Source)
}

// SentTwiceError says that two mappings give one source the same name.
type SentTwiceError struct{ Source, Name string }

// Error implements error.
func (e *SentTwiceError) Error() string {
	return fmt.Sprintf("source %s would be sent twice as %s", e.Source, e.Name)
}

// sentTwice is the error of a manifest that names the mappings.
func sentTwice(sources []source, e *SentTwiceError) error {
	var mappings []string
	for _, s := range sources {
		from := path.Clean("/" + s.path)
		below, within := strings.CutPrefix(e.Source, strings.TrimSuffix(from, "/"))
		if within && (below == "" || below[0] == '/') && path.Join(s.name, below) == e.Name {
			mappings = append(mappings, s.path+" to "+s.name)
		}
	}
	return api.Errorf(api.CodeConflict, "%s: by the mappings of %s; remove one of them", e, strings.Join(mappings, " and of "))
}

// cleanSource cleans a source path. It refuses one that leaves the sandbox.
func cleanSource(p string) (string, error) {
	if strings.IndexByte(p, 0) >= 0 {
		return "", api.Errorf(api.CodeInvalid, "source %s holds a NUL byte, which no file name can", api.Quote(p))
	}
	if account.LeadsAboveRoot(p) {
		return "", api.Errorf(api.CodeForbidden, "source %s is outside the sandbox", p)
	}
	return path.Clean("/" + p), nil
}

// inspect returns what is at a name, without following a link. A file it opens,
// to make sure that it can be read; with the error that it cannot, it returns the
// file too.
func inspect(at *os.Root, name string) (fs.FileInfo, error) {
	fi, err := at.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return fi, err
	}
	f, err := at.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return fi, err
	}
	fi, err = f.Stat()
	_ = f.Close()
	if err == nil && !fi.Mode().IsRegular() {
		err = errReplaced
	}
	return fi, err
}

// errReplaced is the error of a file that has become something else between two
// looks at it.
var errReplaced = errors.New("it has changed")

// entry adds what inspect has found: a file, or a directory at the path rel
// below the sandbox, without links.
func (w *walker) entry(ctx context.Context, rel string, s source, fi fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !w.filter.Keep(s.name, fi.IsDir()) {
		return nil
	}
	if err := checkEntryName(s); err != nil {
		return err
	}
	switch {
	case fi.IsDir():
		return w.directory(ctx, rel, s)
	case !fi.Mode().IsRegular():
		return w.skip(ctx, s, kindOf(fi.Mode()))
	case s.name == "/":
		return api.Errorf(api.CodeInvalid, "source %s is a file and needs a name of its own, not /", s.path)
	}
	return w.file(ctx, s, fi)
}

func checkEntryName(s source) error {
	if len(s.name) > maxPath || len(s.path) > maxPath {
		return api.Errorf(api.CodeInvalid, "source %s is too deep: its path or its name %s is longer than %d bytes", api.Quote(s.path), api.Quote(s.name), maxPath)
	}
	return nil
}

// file adds a file.
func (w *walker) file(ctx context.Context, s source, fi fs.FileInfo) error {
	if fi.Size() > math.MaxInt64-w.size {
		return api.Errorf(api.CodeTooLarge, "the files have more than %d bytes together, with %s: split them into several manifests", int64(math.MaxInt64), s.path)
	}
	w.files++
	w.size += fi.Size()
	w.data += min(allocated(fi), fi.Size())
	return w.add(ctx, s, fi)
}

func (w *walker) add(ctx context.Context, s source, fi fs.FileInfo) error {
	if w.next+w.skipped >= maxEntries {
		return tooManyEntries()
	}
	f := ManifestFile{
		Index: w.next, Source: s.path, Name: s.name, Mode: uint32(fi.Mode().Perm()),
		ModTime: nanoseconds(fi.ModTime()), Dir: fi.IsDir(),
	}
	if !f.Dir {
		f.Size = fi.Size()
	}
	w.page = append(w.page, f)
	w.next++
	if len(w.page) >= w.e.o.PageSize {
		return w.flush(ctx)
	}
	return nil
}

func tooManyEntries() error {
	return api.Errorf(api.CodeTooLarge, "the manifest has more than %d entries: split it into several", maxEntries)
}

// flush saves the pages. They need not be on disk before the end of the walk
// is: after a power cut it starts again.
func (w *walker) flush(ctx context.Context) error {
	if len(w.page)+len(w.skippedPage) == 0 {
		return ctx.Err()
	}
	if err := w.e.stillEntitled(ctx, w.owner); err != nil { // a walk may take hours
		return err
	}
	var merged int64
	err := w.e.o.Store.UpdateNoSync(ctx, func(tx Tx) (err error) {
		if err := tx.AddSkippedFiles(w.manifest, w.skippedPage); err != nil {
			return err
		}
		merged, err = tx.AddManifestFiles(w.manifest, w.page)
		return err
	})
	w.page, w.skippedPage = w.page[:0], w.skippedPage[:0]
	w.next -= merged
	if twice, ok := errors.AsType[*SentTwiceError](err); ok {
		return sentTwice(w.sources, twice)
	}
	return notSaved(err)
}

// notSaved passes on errors of the database with a code and hides all others.
func notSaved(err error) error {
	if err == nil || api.ErrorOf(err).Code != api.CodeInternal {
		return err
	}
	return api.Wrap(err, api.CodeInternal, "the list of files could not be saved; the server's log says why")
}

// sourceError turns an error into one whose message names the source by its
// path in the owner's API, and no path of the server.
func sourceError(p string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return api.Wrap(err, api.CodeForbidden, "source %s cannot be read: the server's user has no permission; give it some by an ACL, "+
			"or run a server as the files' owner (on Linux: systemctl --user start jetstream)", p)
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		if strings.Contains(e.Message, p) {
			return e
		}
		return api.Wrap(err, e.Code, "source %s: %s", p, e.Message)
	}
	switch {
	case errors.Is(err, errReplaced):
		return api.Errorf(api.CodeConflict, "source %s has changed while it was listed: create the manifest again", p)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return api.Wrap(err, api.CodeNotFound, "source %s does not exist", p)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return api.Wrap(err, api.CodeConflict, "source %s cannot be read: %s", p, errno.Error())
	}
	if reason := api.SystemReason(err); reason != "" {
		return api.Wrap(err, api.CodeConflict, "source %s cannot be read: %s", p, reason)
	}
	return api.Wrap(err, api.CodeConflict, "source %s cannot be read", p)
}
