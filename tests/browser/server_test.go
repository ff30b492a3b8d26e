//go:build unix

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

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

// TestDocsInABrowser opens the docs of a running server: they show the
// operations, break no policy, write no error and ask no other server.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	find(t)
	b := open(t, start(t).url, "/docs")
	ids := `[...document.querySelectorAll(".opblock-summary-operation-id")].map((e) => e.textContent.replaceAll("\u200b", ""))`
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		b.until(fmt.Sprintf(`%s.includes(%q) && document.querySelector("#docs").innerText.replaceAll("\u200b", "").includes(%q)`, ids, c.Name, c.Summary))
	}
	b.until(`((ids) => ids.indexOf("ls") >= 0 && ids.indexOf("ls") < ids.indexOf("rm"))(` + ids + `)`) // looking comes first
	b.shots("docs")

	// On a phone a chapter's description has a line of its own.
	b.size(390)
	b.until(`((all) => all.length > 0 && all.every((e) => e.getBoundingClientRect().width > 200))([...document.querySelectorAll(".opblock-tag small")])`)
	b.until(`document.documentElement.scrollWidth <= 390`)
	b.size(1200)

	// One operation opened: parameters, body, replies. Another really carried out.
	operation := func(id string) string {
		return `[...document.querySelectorAll(".opblock")].find((e) =>
			e.querySelector(".opblock-summary-operation-id").textContent.replaceAll("\u200b", "") === "` + id + `")`
	}
	create, info := operation("send.createManifest"), operation("getServerInfo")
	b.script(create + `.querySelector(".opblock-summary-control").click()`)
	b.until(create + `.querySelector(".opblock-section-request-body") && ` + create + `.querySelectorAll(".response").length > 8`)
	b.shots("docs-open")
	b.script(info + `.querySelector(".opblock-summary-control").click()`)
	for _, button := range []string{".try-out__btn", ".execute"} {
		b.until(info + `.querySelector("` + button + `")`)
		b.script(info + `.querySelector("` + button + `").click()`)
	}
	b.until(info + `.querySelector(".live-responses-table")?.innerText.includes("1.2.3")`)

	// The dialog for the login is all in sight, whichever colors one likes.
	b.click(".authorize")
	b.until(`document.querySelector(".dialog-ux input[type=password]")`)
	for _, color := range []string{"dark", "light"} {
		b.prefer(color)
		b.until(`((r) => r.top >= 0 && r.bottom <= innerHeight)(document.querySelector(".modal-ux").getBoundingClientRect())`)
	}
	b.clean()
}
