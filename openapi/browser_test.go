package openapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"jetstream/openapi"
)

// TestDocsInABrowser opens the page in a real browser and holds that it shows
// the operations, breaks no policy, writes no error and asks nobody else.
func TestDocsInABrowser(t *testing.T) {
	path := chromium(t)
	raw, _ := document(t, sample())
	mux := http.NewServeMux()
	mux.Handle("/docs", openapi.Docs())
	mux.Handle("/docs/", openapi.Docs())
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(raw)
	})
	mux.HandleFunc("GET /api/v1/hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status": "success", "message": "Hello from the test.", "result": {}}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	ctx, endProcess := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
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
	faults := &faultList{home: server.URL}
	if err := chromedp.Listen(ctx, faults.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if err := chromedp.Do(limited, actions...); err != nil {
			page, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("%v\nthe page shows:\n%s\nfaults: %q", err, page, faults.all())
		}
	}
	until := func(condition string) {
		t.Helper()
		t.Log("wait for", condition)
		do(chromedp.Evaluate[chromedp.Void](`new Promise((done) => { const t = setInterval(() => { if (`+condition+
			`) { clearInterval(t); done() } }, 50) })`, chromedp.EvalAwaitPromise))
	}
	shoot := func(name string) { shots(ctx, t, name, chromedp.FullScreenshot(100)) }

	do(chromedp.EmulateViewport(1200, 900), chromedp.Navigate(server.URL+"/docs"))
	until(`document.querySelectorAll(".opblock").length >= 10`)
	for _, c := range sample().All() {
		until(fmt.Sprintf(`document.querySelector("#docs").innerText.replaceAll("\u200b", "").includes(%q)`, c.Summary))
	}
	shoot("docs")
	// On a phone a chapter's description has a line of its own.
	do(chromedp.EmulateViewport(390, 900))
	until(`((all) => all.length > 0 && all.every((e) => e.getBoundingClientRect().width > 200))([...document.querySelectorAll(".opblock-tag small")])`)
	until(`document.documentElement.scrollWidth <= 390`)
	do(chromedp.EmulateViewport(1200, 900))

	// One operation opened: parameters, body, replies; then really carried out.
	create, hello := operation("send.createThing"), operation("hello")
	do(chromedp.Evaluate[chromedp.Void](create + `.querySelector(".opblock-summary-control").click()`))
	until(create + `.querySelector(".opblock-section-request-body") && ` + create + `.querySelectorAll(".response").length > 8`)
	shoot("docs-open")
	do(chromedp.Evaluate[chromedp.Void](hello + `.querySelector(".opblock-summary-control").click()`))
	until(hello + `.querySelector(".try-out__btn")`)
	do(chromedp.Evaluate[chromedp.Void](hello + `.querySelector(".try-out__btn").click()`))
	until(hello + `.querySelector(".execute")`)
	do(chromedp.Evaluate[chromedp.Void](hello + `.querySelector(".execute").click()`))
	until(hello + `.innerText.includes("Hello from the test.")`)
	do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".authorize").click()`))
	until(`document.querySelector(".dialog-ux input[type=password]")`)
	for _, color := range []string{"dark", "light"} {
		prefer(ctx, t, color)
		until(`((r) => r.top >= 0 && r.bottom <= innerHeight)(document.querySelector(".modal-ux").getBoundingClientRect())`)
	}
	shots(ctx, t, "docs-authorize", chromedp.CaptureScreenshot()) // it lies above what can be seen
	if all := faults.all(); len(all) > 0 {
		t.Errorf("faults in the browser:\n%s", strings.Join(all, "\n"))
	}
}

// operation is the script that finds an operation on the page.
func operation(id string) string {
	return `[...document.querySelectorAll(".opblock")].find((e) =>
		e.querySelector(".opblock-summary-operation-id").textContent.replaceAll("\u200b", "") === "` + id + `")`
}

func chromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium here, and CI must have one")
	}
	t.Skip("SKIPPED: no Chromium on PATH; the page in a browser is not tested here")
	return ""
}

// faultList keeps errors of the console, refusals of the policy, and requests
// to anybody but the test's server.
type faultList struct {
	home string

	mu     sync.Mutex
	faults []string
}

func (l *faultList) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults
}

func (l *faultList) listen(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = fmt.Sprintf("exception: %+v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			fault = fmt.Sprintf("console: %s %s", e.Args[0].Value, e.Args[0].Description)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Source == log.EntrySourceSecurity {
			fault = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, l.home+"/") && !strings.HasPrefix(u, "data:") {
			fault = "request to " + u
		}
	}
	if fault != "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.faults = append(l.faults, fault)
	}
}

// shots saves pictures in both colors and widths into the directory named by
// SCREENSHOTS, for people to look at.
func shots(ctx context.Context, t *testing.T, name string, take chromedp.Action[[]byte]) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, color := range []string{"dark", "light"} {
		for width, size := range map[string]int64{"wide": 1200, "phone": 390} {
			prefer(ctx, t, color)
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(size, 900)); err != nil {
				t.Fatal(err)
			}
			picture, err := chromedp.Run(ctx, take)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, color, width)), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900)); err != nil {
		t.Fatal(err)
	}
}

// prefer sets the color scheme that a person likes.
func prefer(ctx context.Context, t *testing.T, color string) {
	t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: color}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
}
