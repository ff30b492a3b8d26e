//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"jetstream/internal/server/servertest"
)

const monitoring = "../../examples/monitoring"

// TestMonitoringExamples lets a Prometheus with the configuration and the rules of
// examples/monitoring scrape servers that work and are then broken: every expression of
// the dashboard has data, and every alert fires. Only intervals and thresholds of time
// are made shorter.
func TestMonitoringExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts Prometheus")
	}
	program, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no prometheus, and CI must have it")
		}
		t.Skip("SKIPPED: there is no prometheus; examples/monitoring is not tested here")
	}
	p := newPair(t, "--trigger-on-api", "--trigger-log", "--trigger-queue-max=1")
	secured := newLive(t)
	cert, key := filepath.Join(secured.state, "cert.pem"), filepath.Join(secured.state, "key.pem")
	servertest.WriteCertificateUntil(t, cert, key, "site-c.example", time.Now().Add(time.Hour))
	secured.start()
	servers, tokens := []*live{p.from, p.to, secured}, make([]string, 3)
	for i, l := range servers {
		tokens[i] = l.callAs("root", "createAPIToken", map[string]any{"description": "Prometheus", "permissions": []string{"admin"}})["token"].(string)
	}
	secured.stop()
	secured.start("--tls-cert="+cert, "--tls-key="+key)
	p.from.script("on.getServerInfo", "#!/bin/sh\n")
	prom := startPrometheus(t, program, servers, tokens)
	prom.await(`count(jetstream_build_info) == 3`)

	p.transfer()
	p.from.call("getServerInfo", nil)
	p.from.awaitRuns("on.getServerInfo", 1)
	for _, expr := range dashboardExpressions(t) {
		prom.await(expr)
	}

	p.from.script("on.getServerInfo", "#!/bin/sh\nexit 3\n")
	p.from.call("getServerInfo", nil)
	p.from.awaitRuns("on.getServerInfo", 2)
	send := func(port int, password string) any {
		d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": port})
		return p.from.call("send.createTransfer", map[string]any{"manifestId": p.manifest(), "destinationId": d["destinationId"],
			"username": "bob", "password": password, "destinationPath": "/in"})["transferId"]
	}
	p.from.call("send.waitForTransfer", map[string]any{"transferId": send(p.to.recvPort, "not the password")})
	send(unusedPort(t), testPassword)

	wait, open := gate(t)
	p.from.script("on.getServerInfo", wait)
	p.from.call("getServerInfo", nil)
	p.from.awaitLog(`"msg":"trigger started"`, 3)
	for range 2 { // one waits, one is dropped
		p.from.call("getServerInfo", nil)
	}
	prom.await(`ALERTS{alertname="JetStreamTriggersWait",alertstate="firing"}`)
	p.to.stop()
	rules := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(read(t, filepath.Join(monitoring, "jetstream.rules.yml")), -1)
	if len(rules) < 8 {
		t.Fatalf("only %d alerts were found", len(rules))
	}
	for _, rule := range rules {
		prom.await(fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing"}`, rule[1]))
	}
	open()
	open()
}

// unusedPort is a port on which nobody listens.
func unusedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// dashboardExpressions are the queries of the dashboard, for all servers.
func dashboardExpressions(t *testing.T) (all []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(monitoring, "grafana.json"))), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, strings.NewReplacer("$instance", ".*", "$__rate_interval", "5m").Replace(target.Expr))
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d expressions were found", len(all))
	}
	return all
}

// prometheus is one that runs.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus starts it with the example's files, whose targets become the servers,
// the last of which has TLS.
func startPrometheus(t *testing.T, program string, servers []*live, tokens []string) prometheus {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// edit replaces what must be there.
	edit := func(text string, pairs ...string) string {
		t.Helper()
		for i := 0; i+1 < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("there is no %q in:\n%s", pairs[i], text)
			}
			text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
		}
		return text
	}
	config := read(t, filepath.Join(monitoring, "prometheus.yml"))
	_, job, ok := strings.Cut(config, "scrape_configs:\n")
	if !ok {
		t.Fatal("the example has no scrape_configs")
	}
	global := edit(strings.TrimSuffix(config, job), "15s", "250ms")
	for i, l := range servers {
		write(fmt.Sprintf("token%d", i), tokens[i])
		one := edit(job, "job_name: jetstream", fmt.Sprintf("job_name: server%d", i), "jetstream.token", fmt.Sprintf("token%d", i),
			"          - site-a.example:8886\n", fmt.Sprintf("          - %s:%d\n", l.host, l.apiPort), "          - site-b.example:8886\n", "")
		if one += "    relabel_configs:\n      - {target_label: job, replacement: jetstream}\n"; i == len(servers)-1 {
			one = edit(one, "scheme: http", "scheme: https") + "    tls_config: {insecure_skip_verify: true}\n"
		}
		global += one
	}
	write("prometheus.yml", global)
	rules := edit(read(t, filepath.Join(monitoring, "jetstream.rules.yml")), "30m", "3s", "> 600", "> 1")
	write("jetstream.rules.yml", regexp.MustCompile(`for: \w+`).ReplaceAllString(rules, "for: 0s"))

	at := fmt.Sprintf("127.0.0.1:%d", unusedPort(t))
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+at, "--log.level=warn")
	var said consoleText
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its data are of no use
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return prometheus{t, "http://" + at}
}

// await waits until a query has a result that is a number.
func (p prometheus) await(query string) {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for last := "nothing"; ; {
		var answer struct {
			Status, Error string
			Data          struct{ Result []struct{ Value [2]any } }
		}
		res, err := http.PostForm(p.url+"/api/v1/query", url.Values{"query": {query}})
		if err == nil {
			err = json.NewDecoder(res.Body).Decode(&answer)
			_ = res.Body.Close()
		}
		switch {
		case err != nil:
			last = err.Error()
		case answer.Status == "error":
			p.t.Fatalf("%s: %s", query, answer.Error)
		default:
			for _, r := range answer.Data.Result {
				text, _ := r.Value[1].(string)
				if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
					return
				}
			}
			last = fmt.Sprint(answer.Data.Result)
		}
		select {
		case <-tick.C:
		case <-limit:
			p.t.Fatalf("%s has no data; the last answer: %s", query, last)
		}
	}
}
