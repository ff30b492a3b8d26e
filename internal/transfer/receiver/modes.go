package receiver

import (
	"io/fs"
	"os"
	"path"
)

// Modes are the modes and the group of what is received.
type Modes struct {
	// File and Dir are the modes of files and directories, as of chmod; 0: those that
	// the sender has.
	File, Dir uint32
	// Group is the group of what is placed; nil: that which the file system gives, in
	// setgid directories theirs.
	Group *int
}

// of returns the mode of an entry that has mode at the sender.
func (m Modes) of(dir bool, mode uint32) uint32 {
	switch {
	case dir && m.Dir != 0:
		return m.Dir
	case !dir && m.File != 0:
		return m.File
	}
	return mode & 0o777
}

// onTheWay is the mode of a directory that the sender has no counterpart of.
func (m Modes) onTheWay() uint32 {
	if m.Dir != 0 {
		return m.Dir
	}
	return dirOnTheWay
}

// fileMode converts a mode of chmod.
func fileMode(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	if mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// groupIn returns the group of what is placed in a directory; ok is false if it is that
// which the file system gives.
func (p *placer) groupIn(dir string) (gid int, ok bool) {
	if p.modes.Group != nil {
		return *p.modes.Group, true
	}
	if p.groups == nil {
		p.groups = map[string]int{}
	}
	gid, known := p.groups[dir]
	if !known {
		gid = -1
		if info, err := p.root.Stat(dir); err == nil && info.Mode()&fs.ModeSetgid != 0 {
			gid = groupOf(info)
		}
		if len(p.groups) >= maxDirs {
			clear(p.groups)
		}
		p.groups[dir] = gid
	}
	return gid, gid >= 0
}

// giveGroup gives a name, which is info, the group of what is placed in the directory of
// to. Where the server may not, it keeps its own.
func (p *placer) giveGroup(name string, info fs.FileInfo, to string) error {
	gid, ok := p.groupIn(path.Dir(to))
	if !ok || groupOf(info) == gid {
		return nil
	}
	return tolerateModeless(p.root.Lchown(name, -1, gid))
}

// setDir gives a directory that was made its group and mode, whatever the umask is. It
// stays setgid if the one above has made it so.
func (p *placer) setDir(name string, info fs.FileInfo, mode uint32) error {
	if p.modes.Group != nil && groupOf(info) != *p.modes.Group {
		if err := tolerateModeless(p.root.Lchown(name, -1, *p.modes.Group)); err != nil {
			return err
		}
	}
	return tolerateModeless(p.root.ChmodDir(name, fileMode(mode)|info.Mode()&fs.ModeSetgid))
}
