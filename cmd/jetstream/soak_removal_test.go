//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What transfers of a soak remove: each third one is a mirror, each third one removes
// its sources.
type removal struct {
	mirror, deleteSource bool
	// stale is what a mirror removes: whether it is a directory, by path.
	stale map[string]bool
	// late reports that the link was stalled meanwhile. A mirror that is asked for
	// late does not know how old its list is, and takes what is stale for new.
	late bool
	// dirs are directories that were there before, which keep their modes and times.
	dirs []string
	// beside is what lies beside the tree at the receiver, which nothing removes.
	beside map[string]string
	// sources are the files that are to be removed at the sender.
	sources []string
	// arrived are those of them that were gone and found at the receiver.
	arrived map[string]bool
	// undisturbed reports that the sender was not ended meanwhile, so that it knows
	// of each source whether it is the one that was sent.
	undisturbed bool
}

// plantRemovals makes what is at the receiver before the servers are started.
func (s *soak) plantRemovals(n int) {
	for i := range n {
		x := removal{mirror: i%3 == 1, deleteSource: i%3 == 2, arrived: map[string]bool{}}
		if x.mirror {
			if err := x.plantStale(filepath.Join(s.to.files, "in", fmt.Sprint(i)), s.random); err != nil {
				s.from.t.Fatal(err)
			}
		}
		s.removals = append(s.removals, x)
	}
}

// plantStale makes what a mirror removes, and what it must not remove, at the receiver.
func (x *removal) plantStale(in string, random *rand.Rand) error {
	write := func(name string) error {
		path := filepath.Join(in, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(name), 0o600)
	}
	for _, name := range besideTree {
		if err := write(name); err != nil {
			return err
		}
	}
	names := []string{"tree/a b/stale", "tree/a b/c/old/stale", "tree/link to a directory/stale", "tree/~/old/er/stale", "tree/\xff\xfe/\xfe"}
	for i := range random.IntN(40) {
		names = append(names, fmt.Sprintf("tree/stale %d", i))
	}
	for _, name := range names {
		if err := write(name); err != nil {
			return err
		}
	}
	x.dirs = []string{"a b", "a b/c", "link to a directory", "\xff\xfe"}
	if err := os.Symlink("../beside", filepath.Join(in, "tree/~/away")); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(in, "tre"), filepath.Join(in, "tree/~/same as tre")); err != nil {
		return err
	}
	x.stale, x.beside = map[string]bool{}, map[string]string{}
	err := filepath.WalkDir(filepath.Join(in, "tree"), func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(filepath.Join(in, "tree"), path)
		if err == nil && rel != "." && !slices.Contains(x.dirs, rel) {
			x.stale[rel] = d.IsDir()
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range besideTree {
		var err error
		if x.beside[name], err = describeFile(filepath.Join(in, name)); err != nil {
			return err
		}
	}
	return nil
}

// besideTree are the files beside "tree" that a mirror must not touch.
var besideTree = []string{"beside/kept", "tree 2/kept", "tre"}

// regularFiles lists the files of a tree, without following links.
func regularFiles(root string) (list []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(root, path)
			list = append(list, rel)
		}
		return err
	})
	return list, err
}

// ageFiles returns when what was planted is older than what happens from now on, as far as
// the clock of the file system tells: deleteSource leaves out what is not.
func ageFiles(t testing.TB) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "probe")
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for first := (time.Time{}); ; <-pause.C {
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			t.Error(err)
			return
		}
		info, err := os.Stat(probe)
		if err != nil {
			t.Error(err)
			return
		}
		if first.IsZero() {
			first = info.ModTime()
		}
		if info.ModTime().Sub(first) > 50*time.Millisecond {
			return
		}
	}
}

// guard looks again and again, until the soak's end, whether something is gone that
// must be there.
func (s *soak) guard() {
	random := rand.New(rand.NewPCG(s.seed, 3))
	for s.pause(random, 400) {
		s.mu.Lock()
		list := make(map[string]*sent, len(s.open))
		for id := range s.open {
			list[id] = s.sent[id]
		}
		s.mu.Unlock()
		for id, x := range list {
			s.checkThere(id, x)
		}
	}
}

// checkThere wants each source at the sender, or whole at the receiver; and all at the
// receiver that was there before and is not stale.
func (s *soak) checkThere(id string, x *sent) {
	s.checking.Lock()
	defer s.checking.Unlock()
	in := filepath.Join(s.to.files, "in", fmt.Sprint(x.number))
	for _, name := range x.sources {
		if _, err := os.Lstat(filepath.Join(s.from.files, "src", fmt.Sprint(x.number), name)); err == nil || x.arrived[name] {
			continue
		}
		got, err := describeFile(filepath.Join(in, "tree", name))
		if x.arrived[name] = true; got != x.want[name] {
			s.errorf(x.number, id, "LOST: %q is gone, and the receiver has %q (%v), want %q", name, got, err, x.want[name])
		}
	}
	for _, name := range x.before {
		if _, err := os.Lstat(filepath.Join(in, "tree", name)); err != nil {
			s.errorf(x.number, id, "LOST at the receiver: %v", err)
		}
	}
	for name, want := range x.beside {
		if got, err := describeFile(filepath.Join(in, name)); got != want {
			s.errorf(x.number, id, "LOST outside the mirror: %q is %q (%v), want %q", name, got, err, want)
		}
	}
}

// checkRemoved compares what was removed with what was to be removed.
func (s *soak) checkRemoved(id string, x *sent, out, in map[string]any) {
	s.checkThere(id, x)
	removed := 0.0
	for name, dir := range x.stale {
		_, err := os.Lstat(filepath.Join(s.to.files, "in", fmt.Sprint(x.number), "tree", name))
		switch {
		case err == nil && !x.late:
			s.errorf(x.number, id, "%q is stale and was not removed", name)
		case err != nil && !dir:
			removed++
		}
	}
	if out["removedFiles"] != removed || in["removedFiles"] != removed {
		s.errorf(x.number, id, "%v files are gone; the sender has %v as removed, the receiver %v", removed, out["removedFiles"], in["removedFiles"])
	}
	if !x.deleteSource {
		return
	}
	left, err := regularFiles(filepath.Join(s.from.files, "src", fmt.Sprint(x.number)))
	if err != nil {
		s.errorf(x.number, id, "%v", err)
	}
	gone := len(x.sources) - len(left)
	if len(x.arrived) != gone || out["sourcesDeleted"] != float64(gone) || out["sourcesKept"] != float64(x.files-gone) {
		s.errorf(x.number, id, "of %d files, %d of them by links, %d are gone and %d arrived; it says %v", x.files, x.files-len(x.sources), gone, len(x.arrived), out)
	}
	want := []string{"one"} // the second name of a file
	if x.conflict == "skip" {
		want = append(want, x.before...)
	}
	slices.Sort(want)
	if slices.Sort(left); x.undisturbed && !slices.Equal(left, want) {
		s.errorf(x.number, id, "the sender was not ended, and kept %q, want %q (%s): %v", left, want, x.conflict, out["sourcesMessage"])
	}
}
