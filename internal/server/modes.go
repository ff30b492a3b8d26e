package server

import (
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"

	"jetstream/internal/transfer/receiver"
)

// checkModes checks the modes and the group of what is received.
func (o *Options) checkModes() error {
	_, err := o.modes()
	return err
}

// modes reads the modes and the group of what is received.
func (o *Options) modes() (m receiver.Modes, err error) {
	if runtime.GOOS == "windows" && o.FileMode+o.DirMode+o.FileGroup != "" {
		return m, optionErrorf("%s, %s and %s are not for Windows, where what is received inherits the rights of its directory",
			option("FileMode"), option("DirMode"), option("FileGroup"))
	}
	if m.File, err = parseMode("FileMode", o.FileMode, 0o400, 0o777); err != nil {
		return m, err
	}
	if m.Dir, err = parseMode("DirMode", o.DirMode, 0o700, 0o3777); err != nil {
		return m, err
	}
	m.Group, err = o.group()
	return m, err
}

// parseMode reads a mode that has the bits least at least and no others than most; 0 for
// an empty text.
func parseMode(name option, text string, least, most uint64) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	switch {
	case err != nil:
		return 0, optionErrorf("%s %q is no mode in octal, such as 0640", name, text)
	case mode&least != least:
		return 0, optionErrorf("%s %q takes rights from the owner, by whom the server itself reads and writes: it must have %04o", name, text, least)
	case mode&^most != 0:
		return 0, optionErrorf("%s %q has bits other than those of %04o, which what others send must not have", name, text, most)
	}
	return uint32(mode), nil
}

// group finds FileGroup, nil if it is empty. It must be one of this process, since the
// system lets only root give files other groups.
func (o *Options) group() (*int, error) {
	if o.FileGroup == "" {
		return nil, nil
	}
	gid, err := strconv.Atoi(o.FileGroup)
	if err != nil {
		g, err := user.LookupGroup(o.FileGroup)
		if err != nil {
			return nil, optionErrorf("%s %q is no group of this machine; make it, or give a number", option("FileGroup"), o.FileGroup)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return nil, optionErrorf("%s %q has no number", option("FileGroup"), o.FileGroup)
		}
	}
	own, err := os.Getgroups()
	if err != nil {
		return nil, err
	}
	if gid < 0 || os.Geteuid() != 0 && gid != os.Getegid() && !slices.Contains(own, gid) {
		return nil, optionErrorf("%s %q is none of the groups of the server's user, who may give files no other: add the user to it, and start the server anew",
			option("FileGroup"), o.FileGroup)
	}
	return &gid, nil
}
