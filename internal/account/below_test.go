package account_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
)

func TestSandboxesBelow(t *testing.T) {
	p := newPlace(t)
	for _, dir := range []string{"srv/bob/inner", "srv/bob/real", "elsewhere"} {
		mkdir(t, p.at(dir))
	}
	link(t, "real", p.at("srv/bob/by-link"))
	link(t, p.at("elsewhere"), p.at("srv/bob/away"))
	s, ctx := account.New(openStore(t, t.TempDir()), account.Options{SandboxDir: p.at("srv/bob/of-%u")}), t.Context()
	for name, dir := range map[string]string{
		"bob": p.at("srv/bob"), "alice": p.at("srv/bob/inner"), "eve": p.at("srv/bob/by-link"), "joe": p.at("srv/bob/away/joe"),
		"above": p.at("srv"), "beside": p.at("srv/bobby"), "default": "",
	} {
		if _, err := s.Create(ctx, account.NewUser{Name: name, Password: "x", Sandbox: dir}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.SandboxesBelow(ctx, p.at("srv/bob"))
	slices.Sort(got)
	if diff := cmp.Diff([]string{"away", "by-link", "inner", "of-default", "real"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
