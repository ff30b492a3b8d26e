package browser

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"jetstream/web"
)

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

// serve offers the page with the replies of f, and returns its URL.
func serve(t *testing.T, f *fake) string {
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.Handle("/static/", web.Handler())
	mux.Handle("/api/", f)
	mux.Handle("/session", f)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
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

// full is a server with something of everything, hostile names included.
func full() *fake {
	failed := sent("s4", "error", 1<<20, 1<<30)
	failed["errorMessage"] = "user bob or its password was refused by site-b.example:8887"
	waiting := sent("s2", "pending", 0, 5<<30)
	waiting["startTime"], waiting["rate"] = nil, 0
	waiting["errorMessage"] = "site-b.example:8887 does not answer (connection refused); trying again in 4 s"
	hostile := sent("s5", "complete", 64<<20, 64<<20)
	hostile["destinationPath"] = "/<img src=x onerror=document.title='owned'>/a\tb\nc\u202egnp.exe\u200b"
	arriving := object{
		"transferId": "r1", "sourcePublicKey": "k", "sourceIP": "2001:db8::7", "username": "bob", "destinationPath": "/incoming",
		"status": "receiving", "processing": true, "errorMessage": "", "totalFiles": 3, "filesReceived": 1, "totalSize": 64 << 20,
		"bytesReceived": 16 << 20, "rate": 88_000.0, "startTime": sent("", "active", 0, 1)["startTime"], "endTime": nil,
	}
	killed := run("t2", "failed", nil)
	killed["signal"], killed["errorMessage"] = "SIGKILL", "the script was ended by SIGKILL"
	running := run("t1", "running", nil)
	running["endTime"], running["event"] = nil, "on.send.createManifest"
	queued := run("t0", "queued", nil)
	queued["startTime"], queued["endTime"], queued["attempt"] = nil, nil, 2
	return &fake{
		superuser: true,
		sent:      []object{sent("s1", "active", 3<<30, 8<<30), waiting, sent("s3", "complete", 4<<30, 4<<30), failed, hostile},
		received:  []object{arriving},
		runs:      []object{queued, running, killed, run("t3", "success", 0)},
	}
}
