package receiver

// writable returns nil: whether files can be made in a directory is only known once
// one is.
func writable(string) error { return nil }
