package transfer_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"jetstream/internal/transfer"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]transfer.Target{
		"site-b:/incoming":           {Host: "site-b", Path: "/incoming"},
		"bob@site-b:/":               {User: "bob", Host: "site-b", Path: "/"},
		"bob@site-b:9000:/a/b c":     {User: "bob", Host: "site-b", Port: 9000, Path: "/a/b c"},
		"bob@example.com@site-b:/in": {User: "bob@example.com", Host: "site-b", Path: "/in"},
		"[::1]:/in":                  {Host: "::1", Path: "/in"},
		"bob@[fe80::1%eth0]:8887:/x": {User: "bob", Host: "fe80::1%eth0", Port: 8887, Path: "/x"},
		"10.0.0.1:/odd:/name@x":      {Host: "10.0.0.1", Path: "/odd:/name@x"},
	} {
		got, err := transfer.ParseTarget(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
		if short := strings.Replace(text, ":8887", "", 1); want.String() != short { // the default
			t.Errorf("%+v is written %s, want %s", want, want, short)
		}
	}
	for text, says := range map[string]string{
		"":              "no destination",
		"./reel":        "no destination",
		"host:relative": "no destination",
		`C:\reel`:       "no destination",
		":/in":          "names no host",
		"@host:/in":     "names no user",
		"a b:/in":       "names no host",
		"host::/in":     "no port",
		"host:0:/in":    "no port",
		"host:99999:/x": "no port",
		"host:x:/in":    "no port",
		"fe80::1:/in":   "brackets",
		"[::1:/in":      "[ADDRESS]",
		"[::1]x:/in":    "[ADDRESS]",
		"[::1]::/in":    "no port",
	} {
		if got, err := transfer.ParseTarget(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %+v, %v; want an error with %q", text, got, err, says)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"bob@site:/x", "[::1]:80:/y", "a:b:/c", "@:/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := transfer.ParseTarget(text)
		if err != nil {
			return
		}
		if got.Host == "" || !strings.HasPrefix(got.Path, "/") || got.Port < 0 || got.Port > 65535 {
			t.Fatalf("%q became %+v", text, got)
		}
		// Written again in full it means the same.
		again := got.Host
		if strings.Contains(again, ":") {
			again = "[" + again + "]"
		}
		if got.Port != 0 {
			again = net.JoinHostPort(got.Host, strconv.Itoa(got.Port))
		}
		if got.User != "" {
			again = got.User + "@" + again
		}
		if strings.Contains(got.Host+got.User, "]") || strings.Contains(got.Host, "[") || strings.Contains(again, ":/") {
			return // no host's name; the server refuses it
		}
		if round, err := transfer.ParseTarget(again + ":" + got.Path); err != nil || round != got {
			t.Errorf("%q became %+v, and that %+v, %v", text, got, round, err)
		}
	})
}
