//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/server/servertest"
)

// nginxConfig puts the server below /js/, by TLS; the last argument is on or off.
const nginxConfig = `daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]d ssl;
		ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem;
		location /js/ { proxy_pass http://127.0.0.1:%[3]d/; proxy_http_version 1.1; proxy_buffering %[4]s;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }
	}
}
`

// nginxClient is where the clients of nginx call from, which is not where nginx
// calls the server from.
const nginxClient = "127.0.0.2"

// TestBehindNginx: with a path prefix and TLS, and its buffering on and off,
// every reference leads where it should, events flow, and the client's address is
// that of whoever called the proxy, whatever they say.
func TestBehindNginx(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no nginx, and CI must have it")
		}
		t.Skip("SKIPPED: there is no nginx; no proxy is tested here")
	}
	l := newLive(t)
	l.start("--trusted-proxy=127.0.0.1")
	for _, buffering := range []string{"on", "off"} {
		t.Run("buffering "+buffering, func(t *testing.T) {
			base, web := startNginx(t, program, l.apiPort, buffering)
			get := func(method, url, body string) *http.Response {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.SetBasicAuth("alice", l.password)
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Forwarded-For", "203.0.113.9")
				res, err := web.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = res.Body.Close() })
				return res
			}
			for _, page := range []string{"/", "/docs", "/docs/"} {
				res := get(http.MethodGet, base+page, "")
				html, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != http.StatusOK {
					t.Fatalf("%s: %d %v", page, res.StatusCode, err)
				}
				for _, ref := range references(string(html)) {
					to, err := res.Request.URL.Parse(ref)
					if err != nil {
						t.Fatal(err)
					}
					if found := get(http.MethodGet, to.String(), ""); found.StatusCode != http.StatusOK {
						t.Errorf("%s refers to %s: %d", page, to, found.StatusCode)
					}
				}
			}
			checkServers(t, get(http.MethodGet, base+"/openapi.json", ""), base)

			stream := get(http.MethodGet, base+"/api/v1/events", "")
			made := get(http.MethodPost, base+"/api/v1/send/manifests", `{"fileMappings":{"/a":"/b"}}`)
			if records := l.auditRecords(); records[len(records)-1].Address != nginxClient {
				t.Errorf("in the audit log: %s", records[len(records)-1])
			}
			location, err := made.Location()
			if err != nil || made.StatusCode != http.StatusCreated {
				t.Fatalf("%d %v", made.StatusCode, err)
			}
			if res := get(http.MethodGet, location.String(), ""); res.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", location, res.StatusCode)
			}
			if res := get(http.MethodPost, base+"/api/v1/send/destinations", fmt.Sprintf(`{"destinationAddress":"127.0.0.1","destinationPort":%d}`, len(buffering))); res.StatusCode != http.StatusCreated {
				t.Fatalf("%d", res.StatusCode)
			}
			sseLines(t, stream.Body, "event: send.destinationCreated")
		})
	}
}

// references are the local ones of a page.
func references(html string) (found []string) {
	for _, attribute := range []string{`href="`, `src="`} {
		for _, part := range strings.Split(html, attribute)[1:] {
			ref, _, _ := strings.Cut(part, `"`)
			if !strings.HasPrefix(ref, "#") {
				found = append(found, ref)
			}
		}
	}
	return found
}

// checkServers wants the document to name the server where it was fetched.
func checkServers(t *testing.T, res *http.Response, base string) {
	t.Helper()
	var document struct{ Servers []struct{ URL string } }
	if err := json.NewDecoder(res.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for _, s := range document.Servers {
		if to, err := res.Request.URL.Parse(s.URL); err != nil || strings.TrimSuffix(to.String(), "/") != base {
			t.Errorf("the document's server is %s, %v", to, err)
		}
	}
}

// startNginx returns the address below which the server is, and a client that
// trusts it.
func startNginx(t *testing.T, program string, port int, buffering string) (base string, web *http.Client) {
	t.Helper()
	dir := t.TempDir()
	servertest.WriteCertificate(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "proxy.example")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, at, port, buffering), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", config, "-p", dir, "-e", "stderr")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Logf("nginx: %v", err)
		}
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, filepath.Join(dir, "cert.pem"))))
	web = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(nginxClient)}}).DialContext,
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "proxy.example", MinVersion: tls.VersionTLS12},
	}}
	t.Cleanup(web.CloseIdleConnections)
	base = fmt.Sprintf("https://127.0.0.1:%d/js", at)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if res, err := web.Get(base + "/healthz"); err == nil {
			_ = res.Body.Close()
			return base, web
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, said.String())
		case <-tick.C:
		}
	}
}
