//go:build linux

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"jetstream/internal/transfer"
)

// apiConnections is how many connections call at a time.
const apiConnections = 64

// The parameters and the result that a bare route decodes and encodes.
type (
	bareDestination struct {
		DestinationAddress string            `json:"destinationAddress"`
		DestinationPort    *int              `json:"destinationPort"`
		SendRateMax        *int64            `json:"sendRateMax"`
		UserData           map[string]string `json:"userData"`
	}
	bareTransfers struct {
		Transfers  []transfer.Transfer `json:"transfers"`
		NextCursor *string             `json:"nextCursor"`
	}
)

// benchAddress is what is another one in each request for a new destination.
const benchAddress = "100.100.100"

// benchDestination are about 270 bytes of parameters.
const benchDestination = `{"destinationAddress":"10.` + benchAddress + `","destinationPort":8887,"sendRateMax":100000,` +
	`"userData":{"site":"the second site by the river","contact":"the operator of the night shift",` +
	`"purpose":"dailies of the second unit, to be graded there","budget":"4711-0815"}}`

// BenchmarkAPI measures commands of the whole server, logged in with a token
// and with capture on, beside two bare routes of chi in the same process, in
// turns, called by the same other process over loopback: one that writes bytes
// of the same size which lie ready (ratio), and one that only decodes the same
// body and encodes the same result by encoding/json (ratio-json). With
// record=yes there is a script for on.<command>: its run is on disk before the
// reply; beside it there is a third, which saves such a run and does nothing
// else (ratio-durable). The queue is paused, so that no script runs beside what
// is measured.
func BenchmarkAPI(b *testing.B) {
	client := startAPIClient(b)
	for _, c := range []apiBench{
		{name: "getServerInfo", command: "getServerInfo", route: "/server", result: new(json.RawMessage), requests: 6400},
		{name: "getDestination", command: "send.getDestination", route: "/send/destinations/", result: new(transfer.Destination), requests: 6400},
		{name: "createDestination-known", command: "send.createDestination", route: "/send/destinations", body: benchDestination,
			params: bareDestination{}, result: new(transfer.Destination), requests: 6400},
		{name: "createDestination-new", command: "send.createDestination", route: "/send/destinations", body: benchDestination, vary: benchAddress,
			params: bareDestination{}, result: new(transfer.Destination), requests: 3200},
		{name: "getTransfers", command: "send.getTransfers", route: "/send/transfers?limit=100", result: new(bareTransfers), requests: 640},
	} {
		for _, record := range []string{"no", "yes"} {
			b.Run(c.name+"/record="+record, func(b *testing.B) { c.run(b, client, record == "yes") })
		}
	}
}

// apiBench is one command as BenchmarkAPI calls it.
type apiBench struct {
	name, command, route string
	body                 string // of a POST
	vary                 string // the piece of it that is another in each request
	params, result       any    // what the bare route decodes and encodes
	requests             int    // of one round
}

func (c apiBench) run(b *testing.B, client *apiClient, record bool) {
	l := newLive(b)
	keepSent(b, l.state, 200, "alice")
	if record {
		l.script("on."+c.command, "#!/bin/sh\nexit 0\n")
	}
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-queue-max=100000000")
	l.callAs("root", "pauseTriggers", nil)
	token := l.token("alice", "/", "read", "write")
	known := l.call("send.createDestination", object(b, []byte(benchDestination)))

	method, route := "GET", "/api/v1"+c.route
	if c.body != "" {
		method = "POST"
	}
	if strings.HasSuffix(route, "/") {
		route += known["destinationId"].(string)
	}
	request := func(method, route string) string {
		head := method + " " + route + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token + "\r\n"
		if method == "POST" {
			head += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body
		} else {
			head += "\r\n"
		}
		return head
	}
	reply := fetchReply(b, method, l.baseURL+route, "Bearer "+token, c.body)
	bare := bareServer(b, reply, c.params, c.result)
	server := net.JoinHostPort(l.host, strconv.Itoa(l.apiPort))
	first := 1
	round := func(address, request string, m *measured) {
		r := apiRound{Address: address, Connections: apiConnections, Requests: c.requests, Request: request}
		if address == server && c.vary != "" {
			r.Vary, r.First = c.vary, first
			first += c.requests
		}
		client.load(b, r, m)
	}

	var whole, ready, encoded, durable measured
	round(server, request(method, route), nil) // all once to get warm
	round(bare, request("GET", "/ready"), nil)
	round(bare, request(method, "/coded"), nil)
	for b.Loop() {
		round(bare, request("GET", "/ready"), &ready)
		round(server, request(method, route), &whole)
		round(bare, request(method, "/coded"), &encoded)
		if record {
			round(bare, request("GET", "/durable"), &durable)
		}
		l.console.forget()
	}
	b.ReportMetric(0, "ns/op") // a round is no operation
	b.ReportMetric(whole.rate(), "requests/s")
	b.ReportMetric(whole.quantile(0.99), "p99-ms")
	b.ReportMetric(whole.perRequest(), "cpu-us")
	b.ReportMetric(ready.rate(), "bare/s")
	b.ReportMetric(ready.quantile(0.99), "bare-p99-ms")
	b.ReportMetric(whole.ratio(&ready), "ratio")
	b.ReportMetric(encoded.rate(), "json/s")
	b.ReportMetric(whole.ratio(&encoded), "ratio-json")
	if record {
		b.ReportMetric(durable.rate(), "durable/s")
		b.ReportMetric(whole.ratio(&durable), "ratio-durable")
	}
}

// BenchmarkTransferPage measures pages of a list of 100,000 transfers, half of
// which are alice's, call by call.
func BenchmarkTransferPage(b *testing.B) {
	const stored = 100_000
	l := newLive(b)
	keepSent(b, l.state, stored, "alice", "root")
	l.start()
	behind := func(n int) string {
		return "&cursor=" + base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, int64(n), 10))
	}
	for _, c := range []struct{ name, user, query string }{
		{"first", "root", "limit=100"},
		{"middle", "root", "limit=100" + behind(stored/2)},
		{"last", "root", "limit=100" + behind(101)},
		{"largest", "root", "limit=1000"},
		{"own", "alice", "limit=100"},
		{"own-last", "alice", "limit=100" + behind(101)},
		{"owner", "root", "limit=100&owner=alice"},
		{"owner-nobody", "root", "limit=100&owner=nobody"},
		{"status-most", "root", "limit=100&status=complete"},
		{"status-few", "root", "limit=100&status=error"},
		{"status-none", "root", "limit=100&status=suspended"},
		{"own-status-few", "alice", "limit=100&status=error"},
		{"own-status-none", "alice", "limit=100&status=suspended"},
	} {
		b.Run(c.name, func(b *testing.B) {
			login := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+l.password))
			url := l.baseURL + "/api/v1/send/transfers?" + c.query
			fetchReply(b, "GET", url, login, "") // proves the password
			var took measured
			for b.Loop() {
				began := time.Now()
				fetchReply(b, "GET", url, login, "")
				took.each = append(took.each, time.Since(began))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(took.quantile(0.5), "median-ms")
			b.ReportMetric(took.quantile(0.99), "p99-ms")
		})
	}
}

// fetchReply calls a route and returns the reply, which must be a success.
func fetchReply(b *testing.B, method, url, login, body string) []byte {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", login)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	reply, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%d %s", res.StatusCode, reply)
	}
	if err != nil {
		b.Fatal(err)
	}
	return reply
}
