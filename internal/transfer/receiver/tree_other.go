//go:build !linux

package receiver

import "os"

// through returns denied: this system cannot pass through a directory that it
// may not read.
func through(_ *os.Root, _ string, denied error, _ func(name string) error) error { return denied }

// to is through for the directory itself.
func to(_ *os.Root, _ string, denied error, _ func(name string) error) error { return denied }

// syncAll does nothing.
func syncAll() {}
