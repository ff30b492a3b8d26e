package triggers

import "io/fs"

const onWindows = true

// extensions are what may follow an event's name in its script's, in the
// order of preference.
func extensions() []string { return []string{".bat", ".cmd", ".exe"} }

// ownership leaves rights to the directory's access control list.
func ownership(fs.FileInfo, int) (fault string, warning bool) { return "", false }

func executable(fs.FileInfo) bool { return true }

const makeExecutable = "cannot be run"
