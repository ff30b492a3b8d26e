package main

// closeInheritedOnExec does nothing: a process on Windows gets only the handles
// that are named when it is started.
func closeInheritedOnExec() error { return nil }
