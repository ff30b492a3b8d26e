package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestNamesThatAreNotUTF8: what has such a name is listed, counted, sent,
// received, moved and removed, by what the listings say of it.
func TestNamesThatAreNotUTF8(t *testing.T) {
	p := newPair(t)
	const name = "\xff\xfe.txt"
	if err := os.WriteFile(filepath.Join(p.from.files, name), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	// only is the one entry of a listing that is not UTF-8 and has member.
	only := func(result map[string]any, member string) map[string]any {
		t.Helper()
		for _, f := range result["files"].([]any) {
			if f := f.(map[string]any); f[member] != nil {
				return f
			}
		}
		t.Fatalf("no %s in %v", member, result)
		return nil
	}
	entry := only(p.from.call("ls", map[string]any{"path": "/"}), "pathBase64")
	if entry["nameBase64"] != base64Of(name) || entry["pathBase64"] != base64Of("/"+name) {
		t.Errorf("ls: %v", entry)
	}
	if got := p.from.call("du", map[string]any{"pathBase64": entry["pathBase64"]}); got["totalSize"] != 4. || got["pathBase64"] != base64Of("/"+name) {
		t.Errorf("du: %v", got)
	}

	mappings := map[string]any{base64Of("/" + name): base64Of("/\xfd.txt"), base64Of("/reel"): base64Of("/reel")}
	m := p.from.call("send.createManifest", map[string]any{"fileMappingsBase64": mappings})
	id := m["manifestId"].(string)
	for _, m := range []map[string]any{m, p.from.call("send.waitForManifest", map[string]any{"manifestId": id})} {
		got, _ := m["fileMappingsBase64"].(map[string]any)
		if len(got) != 2 || got[base64Of("/"+name)] != base64Of("/\xfd.txt") || m["status"] == "error" {
			t.Errorf("manifest: %v", m)
		}
	}
	listed := only(p.from.call("send.getManifestFiles", map[string]any{"manifestId": id}), "srcPathBase64")
	if listed["srcPathBase64"] != base64Of("/"+name) || listed["destPathBase64"] != base64Of("/\xfd.txt") {
		t.Errorf("send.getManifestFiles: %v", listed)
	}

	x := p.from.call("send.createTransfer", map[string]any{
		"manifestId": id, "destinationId": p.destination(), "username": "bob", "password": testPassword,
		"destinationPathBase64": base64Of("/in\xfc"),
	})
	sent := p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]})
	if sent["status"] != "complete" || x["destinationPathBase64"] != base64Of("/in\xfc") || sent["destinationPathBase64"] != base64Of("/in\xfc") {
		t.Fatalf("transfer: %v, then %v", x, sent)
	}
	received := map[string]any{"transferId": x["transferId"]}
	if got := p.to.callAs("bob", "recv.getTransfer", received); got["destinationPathBase64"] != base64Of("/in\xfc") {
		t.Errorf("recv.getTransfer: %v", got)
	}
	file := only(p.to.callAs("bob", "recv.getTransferFiles", received), "nameBase64")
	const arrived = "/in\xfc/\xfd.txt"
	if file["nameBase64"] != base64Of("/\xfd.txt") || file["pathBase64"] != base64Of(arrived) {
		t.Errorf("recv.getTransferFiles: %v", file)
	}
	if text, err := os.ReadFile(p.to.files + arrived); string(text) != "text" {
		t.Errorf("it arrived as %q (%v)", text, err)
	}

	res, answer := p.to.send("POST", "/api/v1/files/directories", basic("bob", p.to.password), map[string]any{"pathBase64": base64Of("/\xfb")})
	if res.StatusCode != 201 || !strings.HasSuffix(res.Header.Get("Location"), "?pathBase64=L%2Fs%3D") {
		t.Errorf("mkdir: %d %s, Location %q", res.StatusCode, answer, res.Header.Get("Location"))
	}
	moved := p.to.callAs("bob", "mv", map[string]any{"pathBase64": file["pathBase64"], "newPathBase64": base64Of("/\xfb/\xfa")})
	if moved["pathBase64"] != base64Of("/\xfb/\xfa") {
		t.Errorf("mv: %v", moved)
	}
	status, reply := p.to.rest("bob", "GET", "/api/v1/files?pathBase64=L%2Fs%3D", nil)
	if inside := only(object(t, reply.Result), "pathBase64"); status != 200 || inside["pathBase64"] != base64Of("/\xfb/\xfa") {
		t.Errorf("GET /files: %d %v", status, inside)
	}
	token := p.to.callAs("bob", "createAPIToken", map[string]any{"pathBase64": base64Of("/\xfb")})
	if token["pathBase64"] != base64Of("/\xfb") {
		t.Errorf("createAPIToken: %v", token)
	}
	res, answer = p.to.send("DELETE", "/api/v1/files?pathBase64=L%2Fsv%2Bg%3D%3D", "Bearer "+token["token"].(string), nil)
	if res.StatusCode != 200 {
		t.Errorf("rm by the token: %d %s", res.StatusCode, answer)
	}
	if left, err := os.ReadDir(p.to.files + "/\xfb"); err != nil || len(left) != 0 {
		t.Errorf("left after rm: %v, %v", left, err)
	}

	for _, refused := range []map[string]any{
		{"pathBase64": base64Of("/a\x00")}, {"pathBase64": base64Of("\xff")}, {"pathBase64": base64Of("/../\xff")},
		{"pathBase64": "/\xff"}, {"pathBase64": base64Of("/\xfb"), "path": "/"}, {},
	} {
		for _, command := range []string{"rm", "mkdir"} {
			if status, reply := p.to.rest("bob", "POST", "/api/v1/command", map[string]any{"request": command, "parameters": refused}); status != 400 {
				t.Errorf("%s %v: %d %s", command, refused, status, reply.Message)
			}
		}
	}
}

// TestSendTakesNamesThatAreNotUTF8: so does jetstream send, on both sides.
func TestSendTakesNamesThatAreNotUTF8(t *testing.T) {
	p := newPair(t)
	source := filepath.Join(p.from.files, "\xff\xfe.txt")
	if err := os.WriteFile(source, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	sent := p.from.here(map[string]string{"JETSTREAM_REMOTE_PASSWORD": testPassword},
		"send", "--accept-key", "--user", "alice", source, fmt.Sprintf("bob@127.0.0.1:%d:/in\xfc", p.to.recvPort))
	if sent.code != 0 {
		t.Errorf("exit status %d: %s%s", sent.code, sent.stdout, sent.stderr)
	}
	if text, err := os.ReadFile(p.to.files + "/in\xfc/\xff\xfe.txt"); string(text) != "text" {
		t.Errorf("it arrived as %q (%v)", text, err)
	}
}

// TestCommandLineTakesNamesThatAreNotUTF8: a flag may hold any bytes.
func TestCommandLineTakesNamesThatAreNotUTF8(t *testing.T) {
	l := newLive(t)
	l.start()
	must := func(args ...string) string {
		t.Helper()
		code, out, errs := l.cli("alice", args...)
		if code != 0 {
			t.Errorf("%q: exit status %d, %s", args, code, errs)
		}
		return out
	}
	must("mkdir", "--path", "/\xff")
	if _, err := os.Stat(l.files + "/\xff"); err != nil {
		t.Error(err)
	}
	must("mv", "--path", "/\xff", "--newPathBase64", base64Of("/\xfe"))
	if out := must("send.createManifest", "--fileMappings", "/\xfe:/\xfd"); !strings.Contains(out, base64Of("/\xfd")) {
		t.Errorf("send.createManifest: %s", out)
	}
	must("rm", "--pathBase64", base64Of("/\xfe"))
	for want, args := range map[string][]string{
		"--path=TEXT or --pathBase64": {"rm"},
		"can't be used together":      {"rm", "--path", "/a", "--pathBase64", "L2E="},
	} {
		if code, _, errs := l.cli("alice", args...); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit status %d, %s, want %q", args, code, errs, want)
		}
	}
}
