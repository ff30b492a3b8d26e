//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestPagesOfARealServer signs in on the page of a running server in a real
// browser, sees a finished transfer and its trigger run, and opens the docs.
func TestPagesOfARealServer(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium here, and CI must have one")
		}
		t.Skip("SKIPPED: no Chromium on PATH; the pages of a real server are not tested here")
	}
	p := newPair(t)
	p.from.script("send.destinationCreated", "#!/bin/sh\nexit 7\n")
	p.transfer()
	p.from.waitForRun("send.destinationCreated")

	ctx, endProcess := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true))...)
	ctx, endTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("close the browser: %v", err)
		}
		endTab()
		endProcess()
	})
	var mu sync.Mutex
	var faults []string
	if err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			faults = append(faults, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				faults = append(faults, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	do := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if err := chromedp.Do(limited, actions...); err != nil {
			page, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
			mu.Lock()
			defer mu.Unlock()
			t.Fatalf("%s: %v\nthe page shows:\n%s\nfaults: %q", what, err, page, faults)
		}
	}
	until := func(condition string) {
		t.Helper()
		do(condition, chromedp.Evaluate[chromedp.Void](`new Promise((done) => { const t = setInterval(() => { if (`+condition+
			`) { clearInterval(t); done() } }, 50) })`, chromedp.EvalAwaitPromise))
	}
	signIn := func(user string) {
		t.Helper()
		until(`!document.getElementById("sign-in").hidden`)
		do("sign in", chromedp.Evaluate[chromedp.Void](`document.getElementById("sign-in").reset()`),
			chromedp.SendKeys(chromedp.ID("name"), user), chromedp.SendKeys(chromedp.ID("password"), p.from.password+"\r"))
	}
	// Pictures in both colors and widths, for people to look at.
	shoot := func(name string) {
		t.Helper()
		dir := os.Getenv("SCREENSHOTS")
		if dir == "" {
			return
		}
		for _, color := range []string{"dark", "light"} {
			for width, size := range map[string]int64{"wide": 1200, "phone": 390} {
				media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: color}}}
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
				do("a picture", chromedp.EmulateViewport(size, 900))
				picture, shotErr := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err := errors.Join(err, shotErr, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, color, width)), picture, 0o600)); err != nil {
					t.Error(err)
				}
			}
		}
		do("back", chromedp.EmulateViewport(1200, 900))
	}

	do("open", chromedp.Navigate(p.from.baseURL+"/"))
	signIn("root")
	until(`document.querySelector("#send li .badge")?.textContent === "complete" && document.querySelector("#send li progress").value === 1`)
	until(`document.querySelector("#runs tr .exit")?.textContent === "7"`)
	until(`document.getElementById("trouble").hidden && document.getElementById("version").textContent === "JetStream ` + version + `"`)
	shoot("live-status")

	do("sign out", chromedp.Click(chromedp.ID("sign-out")))
	mu.Lock()
	if len(faults) > 0 {
		t.Errorf("faults in the browser:\n%s", strings.Join(faults, "\n"))
	}
	mu.Unlock()
	signIn("alice") // no superuser: the browser logs the 403 that the page expects
	until(`document.getElementById("runs-note").textContent === "Trigger runs are shown to superusers."`)

	mu.Lock()
	faults = nil
	mu.Unlock()
	do("docs", chromedp.Navigate(p.from.baseURL+"/docs"))
	until(`document.querySelectorAll(".opblock").length > 20 && document.querySelector("#docs").innerText.includes("getServerInfo")`)
	until(`((ids) => ids.indexOf("ls") < ids.indexOf("rm") && ids.indexOf("ls") >= 0)(` + // looking comes first
		`[...document.querySelectorAll(".opblock-summary-operation-id")].map((e) => e.textContent.replaceAll("\u200b", "")))`)
	shoot("live-docs")
	mu.Lock()
	defer mu.Unlock()
	if len(faults) > 0 {
		t.Errorf("faults in the browser:\n%s", strings.Join(faults, "\n"))
	}
}
