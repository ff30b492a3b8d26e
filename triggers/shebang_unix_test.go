//go:build unix

package triggers_test

import "testing"

// A text without #! is run by /bin/sh, with all its arguments, as execvp does.
func TestScriptWithoutShebang(t *testing.T) {
	r := newRig(t, nil)
	path := r.script("launch", "echo \"$0|$1|$#\"\nexit 4\n")
	r.serve()
	r.launch("a b;$(id)")
	if run := r.failed("exit status 4"); run.Stdout.Text != path+"|a b;$(id)|1\n" {
		t.Errorf("the script said %q", run.Stdout.Text)
	}
}
