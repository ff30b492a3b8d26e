//go:build unix

package triggers_test

import "testing"

func TestScriptWithoutShebangIsRunBySh(t *testing.T) {
	r := newRig(t, nil)
	path := r.script("launch", "echo \"$0|$1|$#\"\nexit 4\n")
	r.serve()
	r.launch("a b;$(id)")
	if run := r.failed("exit status 4"); run.Stdout.Text != path+"|a b;$(id)|1\n" {
		t.Errorf("the script said %q", run.Stdout.Text)
	}
}
