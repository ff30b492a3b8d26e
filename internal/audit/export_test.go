package audit

import "testing"

// BreakFile closes the file below the log, so that writing fails.
func (l *Log) BreakFile(t *testing.T) {
	t.Helper()
	l.file.mu.Lock()
	defer l.file.mu.Unlock()
	if err := l.file.f.Close(); err != nil {
		t.Fatal(err)
	}
}
