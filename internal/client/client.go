// Package client calls the control API of a JetStream server over HTTP or the
// control socket. The jetstream commands that call a server use it.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/localhost"
)

const (
	// maxReply bounds what one answer may hold: 1000 entries of a list with
	// generous user data.
	maxReply = 64 << 20
	// maxDrain bounds what is read of a body only to keep the connection.
	maxDrain = 64 << 10
)

// Options select the server to call and the login to call it with.
type Options struct {
	// Socket is the path of the server's control socket, which is called instead
	// of Host and Port: the kernel tells the server who calls, and ActAs names
	// the user to act as. Empty: none.
	Socket string
	// Host is the server's name or IP; default localhost.
	Host string
	// Port is its control port; default 8886.
	Port int
	// TLS speaks HTTPS; a CAFile implies it.
	TLS bool
	// CAFile is a PEM file of certificates to trust instead of the system's;
	// a server that shows one of them is trusted by whatever name it is
	// called. Empty trusts the system's.
	CAFile string

	// Token logs in as its bearer and goes before User and Password. Without
	// Token and User calls are sent without login.
	Token string
	// Kept tells that Token was kept from an earlier login: a refusal then says
	// so, and how to get another.
	Kept bool
	// ActAs names the user that a launch script's token, or a call by Socket
	// without a login, acts as; empty for every other login.
	ActAs string
	// User and Password log in by HTTP Basic.
	User, Password string
	// Depth counts the trigger runs in the chain that led to these calls; 0
	// outside trigger scripts.
	Depth int

	// Timeout is how long a call may take beyond the timeoutSeconds that its
	// parameters ask for; default 90 s, since a wait command waits
	// for 50 s by default.
	Timeout time.Duration
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	o       Options
	address string // host:port or the socket, for people
	url     string
	http    *http.Client
}

// New returns a client; it connects at the first call. It fails when CAFile
// cannot be read or holds no certificate, or when a login cannot be sent.
func New(o Options) (*Client, error) {
	given := cmp.Or(o.Host, "localhost")
	o.Host = strings.Trim(given, "[]")
	o.Port = cmp.Or(o.Port, api.ControlPort)
	o.Timeout = cmp.Or(o.Timeout, 90*time.Second)
	if o.Port < 1 || o.Port > 65535 {
		return nil, api.Errorf(api.CodeInvalid, "%d is no port: ports are 1 to 65535", o.Port)
	}
	if strings.ContainsAny(o.Host, "/@?#%[] \t\r\n") || strings.Count(o.Host, ":") == 1 {
		return nil, api.Errorf(api.CodeInvalid, "%q is no host name: give a name or an IP, without port and path; "+
			"the port is --api-control-port or JETSTREAM_API_PORT", given)
	}
	if strings.ContainsAny(o.Token, " \t\r\n") {
		return nil, api.Errorf(api.CodeInvalid, "the token holds blanks or line breaks; it must be one word")
	}
	transport := &http.Transport{
		// No Proxy: a control API is called directly, so that its credentials
		// pass through no other host.
		DialContext:           localhost.Dial((&net.Dialer{Timeout: 10 * time.Second}).DialContext),
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 0, // a wait command answers late; Timeout bounds the call
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConns:          4,
		ForceAttemptHTTP2:     true,
	}
	scheme := "http"
	if o.TLS || o.CAFile != "" {
		scheme = "https"
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CAFile != "" {
			if err := trust(config, o.CAFile, o.Host); err != nil {
				return nil, err
			}
		}
		transport.TLSClientConfig = config
	}
	address := net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
	if o.Socket != "" {
		scheme, address = "http", "localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", o.Socket)
		}
	}
	return &Client{
		o: o, address: cmp.Or(o.Socket, address), url: scheme + "://" + address + api.Prefix,
		http: &http.Client{
			Transport: transport,
			// A redirect would send the login to the host it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Address is the server's host:port, or the path of its socket.
func (c *Client) Address() string { return c.address }

// Close closes idle connections. Calls in progress continue.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call carries out one command and returns its reply. params is anything that
// encodes as a JSON object, or nil. A failure, of the server or the connection, is an
// *api.Error with code, message and fields; the reply is then empty.
func (c *Client) Call(ctx context.Context, command string, params any) (api.Reply, error) {
	return c.CallOnce(ctx, "", command, params)
}

// CallOnce is Call with an Idempotency-Key: a creation that is repeated with
// the same key gives the first answer. An empty key is none.
func (c *Client) CallOnce(ctx context.Context, key, command string, params any) (api.Reply, error) {
	body, err := encode(command, params)
	if err != nil {
		return api.Reply{}, err
	}
	text, err := api.Marshal(body)
	if err != nil {
		return api.Reply{}, api.Wrap(err, api.CodeInvalid, "the parameters of %s cannot be written as JSON", command)
	}
	return c.do(ctx, http.MethodPost, api.EnvelopePath, key, text, c.timeout(body.Parameters))
}

// Get reads a route without parameters, such as /server: commands
// that need no login have that by their route only, never by the envelope. Errors
// are those of Call.
func (c *Client) Get(ctx context.Context, path string) (api.Reply, error) {
	return c.do(ctx, http.MethodGet, path, "", nil, c.o.Timeout)
}

// LoggedIn reports whether calls carry a login, right or wrong, or need none.
func (c *Client) LoggedIn() bool { return c.o.Token != "" || c.o.User != "" || c.o.Socket != "" }

// BySocket reports whether calls go to a control socket.
func (c *Client) BySocket() bool { return c.o.Socket != "" }

// ActAs returns c with another Options.ActAs; both use the same connections.
func (c *Client) ActAs(user string) *Client {
	other := *c
	other.o.ActAs = user
	return &other
}

func (c *Client) do(ctx context.Context, method, path, key string, body []byte, timeout time.Duration) (api.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return api.Reply{}, api.Wrap(err, api.CodeInvalid, "%q is no address of a server", c.address)
	}
	c.authorize(req)
	if key != "" {
		req.Header.Set(api.IdempotencyHeader, key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return api.Reply{}, c.unreachable(ctx, err)
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain) // so that the connection can be reused
		_ = resp.Body.Close()
	}()
	return c.read(ctx, resp)
}

// As decodes the result of a call:
//
//	info, err := client.As[Info](c.Call(ctx, "getServerInfo", nil))
func As[T any](reply api.Reply, err error) (T, error) {
	var result T
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(reply.Result, &result); err != nil {
		return result, api.Wrap(err, api.CodeInternal, "the server's result is not of the expected form; is it another version than this program?")
	}
	return result, nil
}

type envelope struct {
	Request    string          `json:"request"`
	Parameters json.RawMessage `json:"parameters"`
}

func encode(command string, params any) (envelope, error) {
	e := envelope{Request: command, Parameters: json.RawMessage(`{}`)}
	if params == nil {
		return e, nil
	}
	b, err := api.Marshal(params)
	if err != nil {
		return e, api.Wrap(err, api.CodeInvalid, "the parameters of %s cannot be written as JSON", command)
	}
	if string(b) != "null" {
		e.Parameters = b
	}
	return e, nil
}

// timeout returns Options.Timeout plus the timeoutSeconds of a wait command.
func (c *Client) timeout(params json.RawMessage) time.Duration {
	var wait struct {
		TimeoutSeconds int `json:"timeoutSeconds"`
	}
	if err := json.Unmarshal(params, &wait); err != nil {
		return c.o.Timeout // the server reports the error
	}
	return c.o.Timeout + time.Duration(min(max(wait.TimeoutSeconds, 0), 600))*time.Second
}

func (c *Client) authorize(req *http.Request) {
	if req.Method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if c.o.Depth > 0 {
		req.Header.Set(api.DepthHeader, strconv.Itoa(c.o.Depth))
	}
	switch {
	case c.o.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.o.Token)
		if c.o.ActAs != "" {
			req.Header.Set(api.UserHeader, c.o.ActAs)
		}
	case c.o.User != "":
		req.SetBasicAuth(c.o.User, c.o.Password)
	case c.o.ActAs != "":
		req.Header.Set(api.UserHeader, c.o.ActAs)
	}
}

// read converts an HTTP response into a reply, or into the error that it holds.
func (c *Client) read(ctx context.Context, resp *http.Response) (api.Reply, error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return api.Reply{}, c.unreachable(ctx, err)
	}
	if len(text) > maxReply {
		return api.Reply{}, api.Errorf(api.CodeTooLarge, "the answer of %s is over %d MiB: ask for less with limit", c.address, maxReply>>20)
	}
	var reply api.Reply
	if err := json.Unmarshal(text, &reply); err != nil || reply.Status == "" {
		return api.Reply{}, c.foreign(resp, text)
	}
	if len(reply.Result) == 0 || string(reply.Result) == "null" {
		reply.Result = json.RawMessage(`{}`)
	}
	if reply.Status == api.CodeSuccess {
		return reply, nil
	}
	failure := &api.Error{Code: reply.Status, Message: reply.Message}
	var result struct {
		Fields []api.FieldError `json:"fields"`
	}
	if err := json.Unmarshal(reply.Result, &result); err == nil {
		failure.Fields = result.Fields
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		failure.RetryAfter = time.Duration(s) * time.Second
	}
	switch {
	case failure.Code != api.CodeUnauthorized:
	case c.o.Kept:
		failure.Message += fmt.Sprintf(" (this was the login kept for %s; `jetstream login` makes a new one)", c.address)
	case !c.LoggedIn():
		failure.Message = fmt.Sprintf("%s asks for a login: give --user NAME (and JETSTREAM_API_PASSWORD or a prompt), "+
			"set JETSTREAM_API_TOKEN, or log in once by `jetstream login`", c.address)
	}
	return api.Reply{}, failure
}

// Answers reports whether a server answers at a control socket within timeout.
func Answers(ctx context.Context, socket string, timeout time.Duration) bool {
	c, err := New(Options{Socket: socket})
	if err != nil {
		return false
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err = c.Get(ctx, "/server")
	return err == nil
}
