package web_test

import (
	"context"
	"encoding/json"
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

	"jetstream/web"
)

// browser is one tab of a real browser that keeps what went wrong in it.
type browser struct {
	t    *testing.T
	ctx  context.Context
	home string

	mu     sync.Mutex
	faults []string
}

// open starts a browser on the page of server.
func open(t *testing.T, server *httptest.Server) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium here, and CI must have one")
		}
		t.Skip("SKIPPED: no Chromium on PATH; the page in a browser is not tested here")
	}
	ctx, endProcess := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true))...)
	ctx, endTab := chromedp.NewContext(ctx)
	b := &browser{t: t, ctx: ctx, home: server.URL}
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
	b.do(chromedp.EmulateViewport(1100, 900), chromedp.Navigate(server.URL+"/"))
	return b
}

// listen keeps errors of the console, refusals of the policy, and requests to
// anybody but the test's server.
func (b *browser) listen(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = fmt.Sprintf("exception: %+v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			fault = fmt.Sprintf("console: %s", e.Args[0].Value)
		}
	case *log.EventEntryAdded:
		if (e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork) || e.Entry.Source == log.EntrySourceSecurity {
			fault = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.home+"/") {
			fault = "request to " + e.Request.URL
		}
	}
	if fault != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fault)
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

func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		b.t.Errorf("faults in the browser:\n%s", strings.Join(b.faults, "\n"))
	}
}

// shots saves pictures in both colors and widths into the directory named by
// SCREENSHOTS, for people to look at.
func (b *browser) shots(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, color := range []string{"light", "dark"} {
		for width, size := range map[string]int64{"wide": 1100, "phone": 390} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: color}}}
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
				b.t.Fatal(err)
			}
			b.do(chromedp.EmulateViewport(size, 900))
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				b.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, color, width)), picture, 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.do(chromedp.EmulateViewport(1100, 900))
}

func (b *browser) signIn(password string) {
	b.t.Helper()
	b.until(`!document.getElementById("sign-in").hidden`)
	b.script(`document.getElementById("sign-in").reset()`)
	b.do(chromedp.SendKeys(chromedp.ID("name"), "alice"), chromedp.SendKeys(chromedp.ID("password"), password+"\r"))
}

type object = map[string]any

// fake gives the API's JSON replies, so that the page is tested by itself.
type fake struct {
	mu        sync.Mutex
	superuser bool
	broken    bool // every answer is a proxy's error page
	sent      []object
	received  []object
	runs      []object
	asked     int
}

func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.broken {
		http.Error(w, "<h1>Bad Gateway</h1>", http.StatusBadGateway)
		return
	}
	answer := func(status int, code, message string, result any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(object{"status": code, "message": message, "result": result})
	}
	if r.URL.Path == "/session" {
		f.session(w, r, answer)
		return
	}
	cookie, err := r.Cookie("jetstream_session")
	inside := err == nil && cookie.Value == "good"
	switch {
	case r.URL.Path == "/api/v1/server" && !inside:
		answer(200, "success", "Server information.", object{"version": "0.1.0", "apiVersion": 1, "authRequired": true})
	case !inside:
		answer(401, "unauthorized", "log in", object{})
	case r.URL.Path == "/api/v1/server":
		answer(200, "success", "Server information.", object{"version": "0.1.0", "apiVersion": 1, "authRequired": true,
			"serverUid": "0198c0ffee", "serverName": "site-a", "hostName": "reel-1.example"})
	case r.URL.String() == "/api/v1/send/transfers?limit=20":
		answer(200, "success", "Transfers.", object{"transfers": f.sent, "nextCursor": nil})
	case r.URL.String() == "/api/v1/recv/transfers?limit=20":
		answer(200, "success", "Transfers.", object{"transfers": f.received, "nextCursor": nil})
	case r.URL.String() == "/api/v1/trigger-runs?limit=20" && !f.superuser:
		answer(403, "forbidden", "getTriggerRuns is for superusers", object{})
	case r.URL.String() == "/api/v1/trigger-runs?limit=20":
		answer(200, "success", "Runs.", object{"runs": f.runs, "nextCursor": nil})
	default:
		answer(404, "notFound", "there is nothing at "+r.URL.String(), object{})
	}
}

func (f *fake) session(w http.ResponseWriter, r *http.Request, answer func(int, string, string, any)) {
	cookie := &http.Cookie{Name: "jetstream_session", Value: "good", Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if r.Method == http.MethodDelete {
		cookie.Value, cookie.MaxAge = "", -1
		http.SetCookie(w, cookie)
		answer(200, "success", "Signed out.", object{})
		return
	}
	var login struct{ Name, Password string }
	if err := json.NewDecoder(r.Body).Decode(&login); err != nil || login.Name != "alice" || login.Password != "right" {
		answer(401, "unauthorized", "the user or the password is wrong", object{})
		return
	}
	http.SetCookie(w, cookie)
	answer(200, "success", "Signed in.", object{})
}

func serve(t *testing.T, f *fake) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.Handle("/static/", web.Handler())
	mux.Handle("/api/", f)
	mux.Handle("/session", f)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func sent(id, status string, done, total int64) object {
	now := time.Now().UnixMicro()
	o := object{
		"transferId": id, "username": "bob", "destinationAddress": "site-b.example", "destinationPort": 8887, "destinationPath": "/incoming/reel-7",
		"status": status, "processing": status == "active" || status == "pending", "errorMessage": "", "totalFiles": 1200, "filesSent": 1200 * done / total,
		"totalBytes": total, "bytesSent": done, "rate": 941_250.0, "etaSeconds": 42, "startTime": now - 30_000_000, "endTime": nil,
	}
	if status == "complete" || status == "error" || status == "cancelled" {
		o["endTime"], o["rate"], o["etaSeconds"] = now, 0, nil
	}
	return o
}

func run(id, status string, exit any) object {
	now := time.Now().UnixMicro()
	return object{"runId": id, "event": "recv.transferComplete", "status": status, "attempt": 1, "queueTime": now, "startTime": now,
		"endTime": now + 1_234_000, "exitCode": exit, "signal": "", "errorMessage": ""}
}
