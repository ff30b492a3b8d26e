package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
)

// recorder is an API server that keeps the last request and gives one answer.
type recorder struct {
	request *http.Request
	body    string
	status  int
	answer  string
}

// outcome is what a command line came to.
type outcome struct {
	code           int
	stdout, stderr string
}

func newRecorder(t *testing.T, status int, answer string) (r *recorder, port string) {
	t.Helper()
	r = &recorder{status: status, answer: answer}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.request, r.body = req, string(b)
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.answer)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return r, u.Port()
}

// jetstream runs one command line with env alone as its environment.
func jetstream(t testing.TB, env map[string]string, stdin string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(stdin), &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

func TestAPIPrintsTheResultSorted(t *testing.T) {
	r, port := newRecorder(t, 200, `{"status":"success","message":"","result":{"z":9007199254740993,"a":{"y":"<&>","b":null}}}`)
	for _, name := range []string{"send.createDestination", "createDestination"} {
		got := jetstream(t, nil, "", "api", "--host=127.0.0.1", "--api-control-port", port, name, "--destinationAddress", "site-b", "--sendRateMax=100000")
		want := "{\n  \"a\": {\n    \"b\": null,\n    \"y\": \"<&>\"\n  },\n  \"z\": 9007199254740993\n}\n"
		if got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("%s: got %+v", name, got)
		}
		if want := `{"request":"send.createDestination","parameters":{"destinationAddress":"site-b","sendRateMax":100000}}`; r.body != want {
			t.Errorf("%s: sent %s, want %s", name, r.body, want)
		}
	}
}

// TestResultsAreFitForATerminal holds that neither form of a result lets a name
// move the cursor or turn the text around, and that JSON stays the same value.
func TestResultsAreFitForATerminal(t *testing.T) {
	name := "esc\x1b[31m c1\u009b31m del\x7f bidi\u202e join\u200d tag\U000e0041 日本\n"
	answer, err := json.Marshal(map[string]any{"status": "success", "message": "", "result": map[string]any{"name": name}})
	if err != nil {
		t.Fatal(err)
	}
	_, port := newRecorder(t, 200, string(answer))
	for _, form := range []string{"json", "table"} {
		got := jetstream(t, nil, "", "api", "--host=127.0.0.1", "--api-control-port", port, "--output", form, "getUser", "--name", "x")
		if i := strings.IndexFunc(got.stdout, func(r rune) bool { return r != '\n' && r != ' ' && !unicode.IsGraphic(r) }); got.code != 0 || i >= 0 {
			t.Errorf("%s: got %+v; what it holds at %d is none of a terminal's business", form, got, i)
		}
		if !strings.Contains(got.stdout, "日本") {
			t.Errorf("%s: %s", form, got.stdout)
		}
		var result struct{ Name string }
		if form == "json" && (json.Unmarshal([]byte(got.stdout), &result) != nil || result.Name != name) {
			t.Errorf("%q became %q", name, result.Name)
		}
	}
	var line strings.Builder
	err = (&tail{out: &line, json: true}).show(client.Event{Type: "trigger.output", Data: json.RawMessage("\"c1\u009b31m\"")})
	if err != nil || !strings.Contains(line.String(), `"c1\u009b31m"`) {
		t.Errorf("trigger tail --json: %q, %v", line.String(), err)
	}
}

func TestAPIReportsFailures(t *testing.T) {
	_, port := newRecorder(t, 400, `{"status":"invalid","message":"two parameters\u001b[31m are wrong","result":{"fields":[
		{"field":"sendRateMax","rule":"min=0","message":"sendRateMax must be 0 or more"},{"field":"x","rule":"unknown","message":"x is unknown"}]}}`)
	got := jetstream(t, nil, "", "api", "--host=127.0.0.1", "--api-control-port", port, "createDestination", "--destinationAddress=x", "--sendRateMax=-1")
	want := `jetstream: invalid: two parameters\x1b[31m are wrong
jetstream:   sendRateMax: sendRateMax must be 0 or more
jetstream:   x: x is unknown
`
	if got != (outcome{1, "", want}) {
		t.Errorf("got %+v, want %q", got, want)
	}
}

func TestAPILogin(t *testing.T) {
	token := func(user string) string {
		return api.TokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(user)) + ".random"
	}
	const opaque = "other-kind-of-token"
	tests := []struct {
		name               string
		env                map[string]string
		flags              []string
		code               int
		login, actAs, says string
	}{
		{name: "nothing", login: ""},
		{name: "user and password", env: map[string]string{"JETSTREAM_API_USER": "ann", "JETSTREAM_API_PASSWORD": "pw"}, login: "ann:pw"},
		{name: "the flag goes before the variable", env: map[string]string{"JETSTREAM_API_USER": "ann", "JETSTREAM_API_PASSWORD": "pw"}, flags: []string{"--user=bob"}, login: "bob:pw"},
		{name: "password missing", flags: []string{"--user=ann"}, code: 2, says: "JETSTREAM_API_PASSWORD"},
		{name: "user missing", env: map[string]string{"JETSTREAM_API_PASSWORD": "pw"}, code: 2, says: "--user NAME"},
		{name: "token", env: map[string]string{"JETSTREAM_API_TOKEN": token("ann")}, login: token("ann")},
		{name: "token goes before password", env: map[string]string{"JETSTREAM_API_TOKEN": token("ann"), "JETSTREAM_API_PASSWORD": "pw", "JETSTREAM_API_USER": "Ann"}, login: token("ann")},
		{name: "another user, with password", env: map[string]string{"JETSTREAM_API_TOKEN": token("ann"), "JETSTREAM_API_PASSWORD": "pw"}, flags: []string{"--user=bob"}, login: "bob:pw"},
		{name: "another user, without", env: map[string]string{"JETSTREAM_API_TOKEN": token("ann")}, flags: []string{"--user=bob"}, code: 2, says: "belongs to ann"},
		{name: "launch token", env: map[string]string{"JETSTREAM_API_TOKEN": token("")}, login: token("")},
		{name: "launch token for a user", env: map[string]string{"JETSTREAM_API_TOKEN": token(""), "JETSTREAM_API_PASSWORD": "pw"}, flags: []string{"--user=bob"}, login: token(""), actAs: "bob"},
		{name: "token of another kind", env: map[string]string{"JETSTREAM_API_TOKEN": opaque}, flags: []string{"--user=bob"}, login: opaque, actAs: "bob"},
		{name: "depth is no number", env: map[string]string{"JETSTREAM_DEPTH": "deep"}, code: 2, says: "JETSTREAM_DEPTH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, port := newRecorder(t, 200, `{"status":"success","message":"","result":{}}`)
			env := map[string]string{"JETSTREAM_API_HOST": "127.0.0.1", "JETSTREAM_API_PORT": port, "JETSTREAM_DEPTH": "4"}
			maps.Copy(env, tt.env)
			got := jetstream(t, env, "", append(append([]string{"api"}, tt.flags...), "getServerInfo")...)
			if got.code != tt.code || !strings.Contains(got.stderr, tt.says) {
				t.Fatalf("got %+v, want exit %d with %q", got, tt.code, tt.says)
			}
			if tt.code != 0 {
				if r.request != nil {
					t.Error("something was sent nevertheless")
				}
				return
			}
			login := strings.TrimPrefix(r.request.Header.Get("Authorization"), "Bearer ")
			if user, password, ok := r.request.BasicAuth(); ok {
				login = user + ":" + password
			}
			if login != tt.login || r.request.Header.Get("X-JetStream-User") != tt.actAs {
				t.Errorf("logged in by %q as %q, want %q as %q", login, r.request.Header.Get("X-JetStream-User"), tt.login, tt.actAs)
			}
			if d := r.request.Header.Get("X-JetStream-Depth"); d != "4" {
				t.Errorf("depth is %q, want 4", d)
			}
		})
	}
}

func TestAPISecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	transfer := []string{"createTransfer", "--manifestId=m", "--destinationId=d", "--username=bob"}
	tests := []struct {
		name, stdin string
		env         map[string]string
		args        []string
		sent        string // the password; empty: refused
		says        string
	}{
		{name: "file", args: append(transfer, "--password=@"+file("good", "p@ss wörd\n")), sent: "p@ss wörd"},
		{name: "file with CRLF", args: append(transfer, "--password=@"+file("crlf", "pass\r\n")), sent: "pass"},
		{name: "standard input", stdin: "from stdin\n", args: append(transfer, "--password", "@-"), sent: "from stdin"},
		{name: "variable", env: map[string]string{"JETSTREAM_REMOTE_PASSWORD": "from env"}, args: transfer, sent: "from env"},
		{name: "the flag goes first", stdin: "flag", env: map[string]string{"JETSTREAM_REMOTE_PASSWORD": "env"}, args: append(transfer, "--password=@-"), sent: "flag"},
		{name: "missing", args: transfer, says: "JETSTREAM_REMOTE_PASSWORD"},
		{name: "missing elsewhere", env: map[string]string{"JETSTREAM_REMOTE_PASSWORD": "x"}, args: []string{"createUser", "--name=joe"}, says: "--password @FILE"},
		{name: "plain", args: append(transfer, "--password=hunter2"), says: "where others can see it"},
		{name: "empty file", args: append(transfer, "--password=@"+file("empty", "")), says: "empty"},
		{name: "two lines", args: append(transfer, "--password=@"+file("lines", "hunter2\nmore\n")), says: "one line"},
		{name: "huge", args: append(transfer, "--password=@"+file("huge", strings.Repeat("x", maxSecret+1))), says: "right file"},
		{name: "no such file", args: append(transfer, "--password=@"+filepath.Join(dir, "none")), says: "none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, port := newRecorder(t, 200, `{"status":"success","message":"","result":{}}`)
			got := jetstream(t, tt.env, tt.stdin, append([]string{"api", "--host=127.0.0.1", "--api-control-port=" + port}, tt.args...)...)
			if strings.Contains(got.stderr, "hunter2") {
				t.Errorf("the secret is repeated: %s", got.stderr)
			}
			if tt.sent == "" {
				if got.code != 2 || !strings.Contains(got.stderr, tt.says) || r.request != nil {
					t.Errorf("got %+v, want exit 2 with %q and nothing sent", got, tt.says)
				}
				return
			}
			want, err := api.Marshal(tt.sent)
			if err != nil {
				t.Fatal(err)
			}
			if got.code != 0 || !strings.Contains(r.body, fmt.Sprintf(`"password":%s`, want)) {
				t.Errorf("got %+v; sent %s", got, r.body)
			}
		})
	}
}

func TestUnknownWordsNameTheNearest(t *testing.T) {
	for line, says := range map[string]string{
		"sevrer":                             "did you mean server?",
		"--hlep":                             "did you mean --help?",
		"api creatDestination":               "did you mean createDestination?",
		"api send.createDestinaton":          "did you mean send.createDestination?",
		"api --hots=x getServerInfo":         "did you mean --host?",
		"api createDestination --sendRate=1": "did you mean --sendRateMax?",
		"api --api-control-port=0 getUsers":  "ports are 1 to 65535",
		"api":                                "needs a command",
		"user":                               "needs a command",
		"user ad joe":                        "did you mean add?",
		"send ./x":                           "SOURCE and a destination",
		"version now":                        "unexpected argument",
		"send":                               "<source> ... is missing",
		"completion":                         "<shell> is missing",
		"api getTransfers --limit ten":       `--limit: "ten" is no whole number` + "\n",
		"server --api-port 99999":            `--api-port: "99999" is no whole number from 0 to 65535`,
		"send --version":                     "jetstream --version",
		"help sned":                          "did you mean send?",
		"api getManifest --manifestId":       "jetstream: --manifestId needs a value\n",
		"api getTransfers --limit -x":        "--limit needs a value, and -x looks like a flag: if it is meant, write --limit=-x\n",
		"trigger runs --since -5m":           "--since: -5m0s is negative\n",
		"trigger runs --since 24":            `--since: "24" is no duration, such as 30s, 10m or 24h`,
		"trigger runs --since":               "--since needs a value\n",
		"api --host=site-b:8886 getUsers":    `"site-b:8886" is no host name: give a name or an IP, without port`,
		"api --host=[::1]:8886 getUsers":     `"[::1]:8886" is no host name: give a name or an IP, without port`,
	} {
		got := jetstream(t, nil, "", strings.Fields(line)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, says) {
			t.Errorf("jetstream %s: got %+v, want exit 2 with %q", line, got, says)
		}
	}
}

// TestEmptyPathsAreRefused: a variable that is not set must not mean the working
// directory, whose files would be sent, served or run as scripts.
func TestEmptyPathsAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{
		"server --trigger-dir=", "server --persistent-state-dir=", "server --sandbox-dir=", "server --log=",
		"user --persistent-state-dir=state add joe --sandbox=", "user --persistent-state-dir= list", "trigger check --persistent-state-dir=",
	} {
		if got := jetstream(t, nil, "", strings.Fields(line)...); got.code != exitUsage || !strings.Contains(got.stderr, ": the path is empty") {
			t.Errorf("jetstream %s: got %+v", line, got)
		}
	}
	if got := jetstream(t, nil, "", "trigger", "check", ""); got.code != exitUsage || !strings.Contains(got.stderr, "the path is empty") {
		t.Errorf("jetstream trigger check '': got %+v", got)
	}
	if got := jetstream(t, nil, "", "send", "a", "", "bob@site-b:/"); got.code != exitUsage || !strings.Contains(got.stderr, "SOURCE is empty") {
		t.Errorf("jetstream send a '': got %+v", got)
	}
	if got := jetstream(t, nil, "", "digest", "a", ""); got.code != exitUsage || !strings.Contains(got.stderr, "FILE is empty") {
		t.Errorf("jetstream digest a '': got %+v", got)
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("left behind: %v %v", made, err)
	}
}

func TestHelpWorksEverywhere(t *testing.T) {
	for _, line := range []string{"", "server", "api", "api getServerInfo", "api createTransfer", "send", "user", "user add", "digest", "demo", "version"} {
		got := jetstream(t, nil, "", append(strings.Fields(line), "--help")...)
		if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "Usage: jetstream") {
			t.Errorf("jetstream %s --help: got %+v", line, got)
		}
	}
}

// TestExamplesOfHelpParse holds that what the help of a command shows can be
// typed as it stands.
func TestExamplesOfHelpParse(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush-pw"), 0o600); err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("SKIPPED: no shell to take the examples apart: %v", err)
	}
	for _, command := range handlers.Commands(handlers.Deps{}).All() {
		line := strings.ReplaceAll(command.ExampleLine(), "@FILE", "@"+secret)
		words, err := exec.Command(shell, "-c", "for word in "+line+`; do printf '%s\0' "$word"; done`).Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		args := strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00")[3:]
		p := &program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}
		if _, _, err := (&commandCmd{command: command, Args: args}).parameters(t.Context(), p); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestHelpOfLoginNamesItsWays: where the server is taken to be, and every
// variable that logs in.
func TestHelpOfLoginNamesItsWays(t *testing.T) {
	for _, command := range []string{"api", "send", "trigger runs", "login"} {
		got := jetstream(t, nil, "", append(strings.Fields(command), "--help")...)
		help := strings.Join(strings.Fields(got.stdout), " ")
		for _, want := range []string{"control API (localhost)", "control API (8886)", "JETSTREAM_API_HOST", "JETSTREAM_API_PORT", "JETSTREAM_API_USER",
			"JETSTREAM_API_PASSWORD", "JETSTREAM_API_TOKEN", "JETSTREAM_API_CA"} {
			if !strings.Contains(help, want) {
				t.Errorf("the help of %s lacks %s:\n%s", command, want, got.stdout)
			}
		}
	}
}

func TestHelpOfAPIGroupsCommands(t *testing.T) {
	got := jetstream(t, nil, "", "api", "--help")
	last := 0
	for _, want := range []string{"Commands of the server:", "getServerInfo", "Commands of the sender:", "send.createDestination (createDestination)", "Commands of the receiver:", "recv.getTransfers"} {
		i := strings.Index(got.stdout, want)
		if i <= last {
			t.Errorf("%q is not where it belongs in\n%s", want, got.stdout)
		}
		last = i
	}
}
