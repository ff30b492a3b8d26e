package browser

import (
	"context"
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
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// browser is one tab of a real browser that records what goes wrong in it.
type browser struct {
	t    *testing.T
	ctx  context.Context
	home string // the server's URL

	mu     sync.Mutex
	faults []string
	failed []string // requests
}

// find is the browser's program; the test is skipped where there is none.
func find(t *testing.T) string {
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
	t.Skip("SKIPPED: no Chromium on PATH; the pages in a browser are not tested here")
	return ""
}

// open starts a browser on the page at path of the server at home.
func open(t *testing.T, home, path string) *browser {
	t.Helper()
	program := find(t)
	ctx, endProcess := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true))...)
	ctx, endTab := chromedp.NewContext(ctx)
	b := &browser{t: t, ctx: ctx, home: home}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("close the browser: %v", err)
		}
		endTab()
		endProcess()
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(1200, 900), chromedp.Navigate(home+path))
	return b
}

// listen records errors of the console, violations of the page's policy,
// requests to any other server, and requests that failed.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := func(format string, args ...any) { b.faults = append(b.faults, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault("exception: %+v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			fault("console: %s %s", e.Args[0].Value, e.Args[0].Description)
		}
	case *log.EventEntryAdded:
		switch {
		case e.Entry.Source == log.EntrySourceNetwork && e.Entry.Level == log.EntryLevelError:
			b.failed = append(b.failed, e.Entry.Text+" "+e.Entry.URL)
		case e.Entry.Source == log.EntrySourceSecurity || e.Entry.Level == log.EntryLevelError:
			fault("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, b.home+"/") && !strings.HasPrefix(u, "data:") {
			fault("request to %s", u)
		}
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("%v\nthe page shows:\n%s\nfaults: %q", err, page, b.faults)
	}
}

// script runs JavaScript in the page and waits for it.
func (b *browser) script(text string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](text, chromedp.EvalAwaitPromise))
}

// until waits for a condition in the page.
func (b *browser) until(condition string) {
	b.t.Helper()
	b.t.Log("wait for", condition)
	b.script(`new Promise((done) => { const t = setInterval(() => { if (` + condition + `) { clearInterval(t); done() } }, 50) })`)
}

// text reads an expression of the page.
func (b *browser) text(expression string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return s
}

// click clicks the first element that matches the selector.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.script(`document.querySelector(` + fmt.Sprintf("%q", selector) + `).click()`)
}

// expectFailedRequests forgets the requests that failed so far.
func (b *browser) expectFailedRequests() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = nil
}

// clean reports what went wrong so far.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults)+len(b.failed) > 0 {
		b.t.Errorf("faults in the browser:\n%s\nfailed requests:\n%s", strings.Join(b.faults, "\n"), strings.Join(b.failed, "\n"))
	}
	b.faults, b.failed = nil, nil
}

// shots saves pictures in both colors and widths into the directory named by
// SCREENSHOTS, for people to look at.
func (b *browser) shots(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, color := range []string{"dark", "light"} {
		for width, size := range map[string]int64{"wide": 1200, "phone": 390} {
			b.prefer(color)
			b.size(size)
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				b.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, color, width)), picture, 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.size(1200)
}

// size sets the width of what is seen of the page.
func (b *browser) size(width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
}

// prefer sets the color scheme that a person likes.
func (b *browser) prefer(color string) {
	b.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: color}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) signIn(user, password string) {
	b.t.Helper()
	b.until(`!document.getElementById("sign-in").hidden`)
	b.script(`document.getElementById("sign-in").reset()`)
	b.do(chromedp.SendKeys(chromedp.ID("name"), user), chromedp.SendKeys(chromedp.ID("password"), password+"\r"))
}
