//go:build unix

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"jetstream/handlers"
	"jetstream/internal/client"
	"jetstream/internal/server"
)

const password = "hush-Little-baby.42"

// running is a server with the superuser admin and the user alice, both with
// password.
type running struct {
	t        *testing.T
	url      string
	recvPort int
	triggers string
	client   *client.Client // as admin
}

// start runs a server until the end of the test.
func start(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{t: t, triggers: filepath.Join(dir, "triggers")}
	if err := os.Mkdir(r.triggers, 0o700); err != nil {
		t.Fatal(err)
	}
	first := ""
	s, err := server.New(t.Context(), server.Options{
		StateDir: filepath.Join(dir, "state"), RecvHost: "127.0.0.1", TriggerDir: r.triggers, Version: "1.2.3",
		FirstPassword: func(password string) error { first = password; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	at := s.Endpoint()
	r.url, r.recvPort = fmt.Sprintf("http://%s:%d", at.APIHost, at.APIPort), at.RecvPort
	for _, login := range []string{first, password} { // admin's first password is changed at once
		c, err := client.New(client.Options{Host: at.APIHost, Port: at.APIPort, User: "admin", Password: login})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		r.client = c
		if login == first {
			r.call("updateUser", map[string]any{"name": "admin", "password": password})
		}
	}
	r.call("createUser", map[string]any{"name": "alice", "password": password})
	return r
}

// call carries out a command as admin, which must succeed.
func (r *running) call(command string, params map[string]any) map[string]any {
	r.t.Helper()
	result, err := client.As[map[string]any](r.client.Call(r.t.Context(), command, params))
	if err != nil {
		r.t.Fatalf("%s %v: %v", command, params, err)
	}
	return result
}

// transfer sends a file from the server to itself.
func (r *running) transfer() {
	r.t.Helper()
	r.call("mkdir", map[string]any{"path": "/reel"})
	destination := r.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": r.recvPort})
	manifest := r.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/reel": "/reel"}})
	r.call("send.waitForManifest", map[string]any{"manifestId": manifest["manifestId"]})
	transfer := r.call("send.createTransfer", map[string]any{"manifestId": manifest["manifestId"],
		"destinationId": destination["destinationId"], "username": "alice", "password": password})
	if got := r.call("send.waitForTransfer", map[string]any{"transferId": transfer["transferId"]}); got["status"] != "complete" {
		r.t.Fatalf("the transfer is %v", got)
	}
}

// TestPagesOfARealServer signs in on the page of a running server, sees a
// finished transfer and a failed trigger run, and opens the docs.
func TestPagesOfARealServer(t *testing.T) {
	t.Parallel()
	find(t)
	r := start(t)
	script := filepath.Join(r.triggers, "send.destinationCreated")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.transfer()

	b := open(t, r.url, "/")
	b.signIn("admin", password)
	b.until(`document.querySelector("#send li .badge")?.textContent === "complete" && document.querySelector("#send li progress").value === 1`)
	b.until(`document.querySelector("#runs tr .exit")?.textContent === "7"`)
	b.until(`document.getElementById("trouble").hidden && document.getElementById("version").textContent === "JetStream 1.2.3"`)
	b.shots("live-status")
	b.click("#sign-out")
	b.clean()
	b.signIn("alice", password)
	b.until(`document.getElementById("runs-note").textContent === "Trigger runs are shown to superusers."`)
	b.expectFailedRequests() // for trigger runs
	b.clean()
}

// TestDocsInABrowser reads, searches and uses the docs of a running server, which
// break no policy, write no error and ask no other server.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	find(t)
	r := start(t)
	b := open(t, r.url, "/docs")
	listed := `[...document.querySelectorAll("#contents li a")].filter((a) => a.checkVisibility()).map((a) => a.textContent)`
	var names []string
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		names = append(names, c.Name)
	}
	b.until(fmt.Sprintf(`((all) => %q.split(" ").every((name) => all.includes(name)))(%s)`, strings.Join(names, " "), listed))

	// The search goes over names and texts, and Enter leads to what it found by name.
	search := func(text string) {
		b.script(`document.getElementById("search").value = ""`)
		b.do(chromedp.SendKeys(chromedp.ID("search"), text))
	}
	search("createtransfer")
	b.until(`JSON.stringify(` + listed + `).includes("send.createTransfer") && !` + listed + `.includes("ls")`)
	search("xyzzy")
	b.until(`document.getElementById("found").textContent === "Nothing has these words." && ` + listed + `.length === 0`)
	search("idempotency replayed")
	b.until(listed + `.includes("Conventions")`)
	search("send.createManifest\r")
	b.until(`location.hash === "#send.createManifest"`)
	b.until(`((r) => r.top >= 0 && r.top < innerHeight)(document.getElementById("send.createManifest").getBoundingClientRect())`)
	search("\x1b")
	b.until(`document.querySelector("#contents a[aria-current]")?.textContent === "send.createManifest"`)
	b.script(`language.value = "Python"; language.dispatchEvent(new Event("change"))`)
	b.until(`((samples) => samples.length > 50 && samples.every((s) => s.checkVisibility() === (s.dataset.language === "Python")))([...document.querySelectorAll(".sample")])`)
	b.until(`document.querySelector(".sample code").textContent.includes(` + "`${location.origin}/api/v1`" + `)`)

	// Nobody is signed in: what is public answers, the rest says how to sign in.
	try := func(id string) string { return `document.getElementById("` + id + `")` }
	use := func(id string) {
		b.script(try(id) + `.querySelector(".try").click()`)
		b.until(try(id) + `.querySelector(".tryit button")`)
		b.script(try(id) + `.querySelector(".tryit button").click()`)
	}
	use("getServerInfo")
	b.until(try("getServerInfo") + `.querySelector(".tryit pre").textContent.includes('"version": "1.2.3"')`)
	use("getUsers")
	b.until(try("getUsers") + `.querySelector(".tryit p").textContent.includes("sign in on the status page")`)
	b.expectFailedRequests()

	// With a session, what changes something is asked about first, with user and server.
	b.do(chromedp.Navigate(r.url + "/"))
	b.signIn("alice", password)
	b.until(`document.getElementById("runs-note").textContent === "Trigger runs are shown to superusers."`)
	b.expectFailedRequests() // for trigger runs
	b.do(chromedp.Navigate(r.url + "/docs#send.createManifest"))
	b.until(`document.querySelector("#contents a[aria-current]")`)
	b.script(`window.asked = []; window.answer = false; window.confirm = (text) => { asked.push(text); return answer }`)
	use("send.createManifest")
	b.until(try("send.createManifest") + `.querySelector(".tryit p").textContent === "Not carried out."`)
	b.until("asked[0] === `Really carry out send.createManifest on ${location.origin}, as user alice?`")
	b.script(`answer = true; ` + try("send.createManifest") + `.querySelector("textarea").value = '{"fileMappings": {"/a": "/b"}}'; ` +
		try("send.createManifest") + `.querySelector(".tryit button[type=submit]").click()`)
	b.until(try("send.createManifest") + `.querySelector(".tryit p").textContent.startsWith("201 ")`)
	b.script(try("send.createManifest") + `.querySelector("textarea").value = '{"fileMappings": '; ` +
		try("send.createManifest") + `.querySelector(".tryit button[type=submit]").click()`)
	b.until(try("send.createManifest") + `.querySelector(".tryit p").textContent.startsWith("The parameters are no JSON: ")`)
	b.shots("docs-try")

	// On a phone the contents are behind a button, and nothing is wider than the screen.
	b.size(390)
	b.until(`document.documentElement.scrollWidth <= 390 && !document.getElementById("side").checkVisibility()`)
	b.click("#menu")
	b.until(`document.getElementById("side").checkVisibility()`)
	b.script(`[...document.querySelectorAll("#contents a")].find((a) => a.textContent === "Login").click()`)
	b.until(`location.hash === "#login" && !document.getElementById("side").checkVisibility() && document.documentElement.scrollWidth <= 390`)
	b.clean()
}
