package transfer

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"jetstream/internal/api"
)

func TestSourceErrorNamesTheReasonOfTheSystem(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, escapes := root.Open("../secret") // as of a directory that became a link meanwhile
	if escapes == nil {
		t.Fatal("it opened")
	}
	for want, err := range map[string]error{
		"source /reel cannot be read: path escapes from parent": escapes,
		"source /reel cannot be read":                           errors.New("/srv/state/secret is odd"),
		"source /reel does not exist":                           &fs.PathError{Op: "open", Path: "/srv/reel", Err: fs.ErrNotExist},
	} {
		if got := api.ErrorOf(sourceError("/reel", err)).Message; got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
