package triggers_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"jetstream/triggers"
)

const batchFile = `C:\ProgramData\JetStream\triggers\on.getServerInfo.bat`

func TestBatchArgumentsAreSafeForCmd(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"8886", "8886"}, {"192.0.2.7:8887", "192.0.2.7:8887"}, {"[2001:db8::1]:8887", "[2001:db8::1]:8887"}, {"", ""}, {"two words", "two words"},
		{"tab\tand, comma", "tab\tand, comma"}, {"grüße", "grüße"}, {`a\`, `a\`},
		{"a&b", "-"}, {"a<b", "-"}, {"a>b", "-"}, {"(", "-"}, {")", "-"}, {"a@b", "-"}, {"^", "-"}, {"a|b", "-"},
		{"%PATH%", "-"}, {"!x!", "-"}, {`{"a":1}`, "-"}, {`{"truncated":true,"bytes":9000}`, "-"},
		{"a\nb", "-"}, {"a\rb", "-"}, {"a\x00b", "-"}, {"a\x1ab", "-"}, {"a\x7fb", "-"},
		{"fe80::1%eth0", "-"}, {strings.Repeat("x", triggers.MaxBatchLine), "-"},
	} {
		if got := triggers.BatchArguments(batchFile, []string{c.arg}); got[0] != c.want {
			t.Errorf("%.40q becomes %.40q, want %q", c.arg, got[0], c.want)
		}
	}
	half := strings.Repeat("x", triggers.MaxBatchLine/2)
	if got := triggers.BatchArguments(batchFile, []string{half, half, "short"}); !slices.Equal(got, []string{half, "-", "short"}) {
		t.Errorf("the line is too long and becomes %.10q", got)
	}
	if got := triggers.BatchArguments(`C:\`+half+`\launch.bat`, []string{half}); got[0] != "-" {
		t.Error("the path's own length was not counted")
	}
}

func TestBatchLineQuotesWhatIsNotPlain(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ``},
		{[]string{"8886"}, ` 8886`},
		{[]string{"192.0.2.7:8887", "[2001:db8::1]:8887"}, ` 192.0.2.7:8887 [2001:db8::1]:8887`},
		{[]string{"", "two words", "-"}, ` "" "two words" -`},
		{[]string{"a,b", "c;d", "e=f", "g\th", "/?", "ü", `x y\`}, " \"a,b\" \"c;d\" \"e=f\" \"g\th\" \"/?\" \"ü\" \"x y\\\""},
	} {
		if got, want := triggers.BatchLine(batchFile, c.args), `"`+batchFile+`"`+c.want; got != want {
			t.Errorf("%q becomes %s, want %s", c.args, got, want)
		}
	}
}

func TestBatchFilesAreRecognized(t *testing.T) {
	for path, want := range map[string]bool{
		`C:\t\launch.bat`: true, `C:\t\launch.CMD`: true, `launch.bat. . `: true, `launch.exe`: false, `launch`: false, `bat`: false,
	} {
		if triggers.IsBatch(path) != want {
			t.Errorf("IsBatch(%q) is %t", path, !want)
		}
	}
}

// cmd.exe splits the line of any arguments into the same number of arguments.
// The line is not too long and contains no special characters.
func FuzzBatchLine(f *testing.F) {
	f.Add("a", `"&calc`, "c")
	f.Add("a,b;c=d", "tab\there\v\f", "")
	f.Add(strings.Repeat("é", 3000), strings.Repeat("x", 6000), `end\`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		in := []string{a, b, c}
		args := triggers.BatchArguments(batchFile, in)
		for i, out := range args {
			if out != in[i] && out != "-" || strings.ContainsAny(out, "&<>()@^|%!\"\r\n\x00") {
				t.Errorf("%q becomes %q", in[i], out)
			}
		}
		line := triggers.BatchLine(batchFile, args)
		if n := len(utf16.Encode([]rune(line))); n > triggers.MaxBatchLine {
			t.Errorf("the line has %d characters", n)
		}
		if got, want := divide(line), append([]string{batchFile}, args...); !slices.Equal(got, want) {
			t.Errorf("%q is divided into %q", want, got)
		}
	})
}

// divide splits a line like cmd.exe.
func divide(line string) []string {
	var out []string
	quoted, begun := false, false
	for _, r := range []byte(line) {
		switch {
		case r == '"':
			quoted = !quoted
			if !begun {
				begun, out = true, append(out, "")
			}
		case !quoted && strings.IndexByte(" \t\v\f,;=", r) >= 0:
			begun = false
		default:
			if !begun {
				begun, out = true, append(out, "")
			}
			out[len(out)-1] += string([]byte{r})
		}
	}
	return out
}

// The extensions of Windows can be tested on all systems.
func TestScriptIsFoundByEventAndExtension(t *testing.T) {
	dir := t.TempDir()
	windows := []string{".bat", ".cmd", ".exe"}
	find := func(extensions ...string) string {
		name, _, err := triggers.FindIn(dir, triggers.NamesWith("launch", extensions))
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, name := range []string{"launch.com", "launch.txt", "relaunch.bat"} {
		write(t, filepath.Join(dir, name))
	}
	if got := find(windows...); got != "" {
		t.Errorf("%s was taken for launch's script", got)
	}
	for _, name := range []string{"launch.exe", "launch.cmd", "launch.bat"} {
		write(t, filepath.Join(dir, name))
		if got := find(windows...); got != name {
			t.Errorf("%q runs, want %s", got, name)
		}
	}
	if got := find(""); got != "" {
		t.Errorf("on Unix %q runs", got)
	}
	write(t, filepath.Join(dir, "launch"))
	if got := find(""); got != "launch" {
		t.Errorf("on Unix %q runs, want launch", got)
	}
	for _, bad := range []string{"", ".launch", "../launch", `..\launch`, "launch:stream", "a\x00"} {
		if name, err := triggers.FindScript(dir, bad); name != "" || err != nil {
			t.Errorf("%q is %s (%v)", bad, name, err)
		}
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
