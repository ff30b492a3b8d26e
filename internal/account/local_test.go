package account_test

import (
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

func TestFromLocalTranslatesPathsOfTheSandbox(t *testing.T) {
	p := newPlace(t)
	mkdir(t, p.at("srv/box/reel"))
	write(t, p.at("srv/outside"), "")
	link(t, p.at("srv/box"), p.at("alias"))
	link(t, "reel", p.at("srv/box/link"))
	link(t, p.at("srv/outside"), p.at("srv/box/out"))
	link(t, p.at("srv/box/reel"), p.at("srv/in"))
	box := p.at("srv/box")
	for abs, want := range map[string]string{
		box: "/", box + "/": "/", p.at("alias"): "/", p.at("srv/box/reel"): "/reel", p.at("srv/box/reel") + "/../reel/": "/reel",
		p.at("alias/reel"): "/reel", p.at("srv/box/missing"): "/missing", p.at("srv/box/no/such"): "/no/such",
		p.at("srv/box/link"):   "/link", // under its own name
		p.at("srv/box/out"):    "/out",  // the server says where it leads
		p.at("srv/box/link/x"): "/reel/x",
		p.at("srv/in/x"):       "/reel/x", // in through a link from outside
	} {
		for _, sandbox := range []string{box, p.at("alias")} {
			got, err := account.FromLocal(sandbox, abs)
			if err != nil || got != want {
				t.Errorf("FromLocal(%s, %s) = %q, %v, want %q", sandbox, abs, got, err, want)
			}
		}
	}
	for _, abs := range []string{p.at("srv/outside"), p.at("srv/box-2"), p.at("srv"), p.at("srv/box/../outside"), filepath.VolumeName(box) + string(filepath.Separator)} {
		_, err := account.FromLocal(box, abs)
		if m := wantCode(t, err, api.CodeForbidden); !strings.Contains(m, box) {
			t.Errorf("message %q does not name the sandbox", m)
		}
	}
	_, err := account.FromLocal(box, "reel")
	wantCode(t, err, api.CodeInvalid)
	root := filepath.VolumeName(box) + string(filepath.Separator)
	if got, err := account.FromLocal(root, p.at("srv/box/reel")); err != nil || got != "/"+filepath.ToSlash(strings.TrimPrefix(p.at("srv/box/reel"), root)) {
		t.Errorf("below the root of the machine: %q, %v", got, err)
	}
	if got, err := account.FromLocal(p.at("gone/box"), p.at("gone/box/x")); err != nil || got != "/x" {
		t.Errorf("below a sandbox that cannot be looked at: %q, %v", got, err)
	}
	if got, err := account.FromLocal(root, root); err != nil || got != "/" {
		t.Errorf("the root itself: %q, %v", got, err)
	}
}
