package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"jetstream/internal/api"
)

// unreachable returns the error for a call without an answer, with its cause and
// a remedy.
func (c *Client) unreachable(ctx context.Context, err error) error {
	wrap := func(code api.Code, format string, args ...any) error {
		return api.Wrap(err, code, format, args...)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return api.ErrorOf(context.Canceled)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return wrap(api.CodeUnavailable, "the name %s is not known: %s", c.o.Host, e.Err)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return wrap(api.CodeUnavailable, "the server at %s speaks no TLS: leave out --tls, --ca and JETSTREAM_API_CA", c.address)
	}
	if fault := c.untrusted(err); fault != "" {
		return wrap(api.CodeUnavailable, "%s", fault)
	}
	switch {
	case refused(err):
		return wrap(api.CodeUnavailable, "no JetStream server answers at %s: the connection was refused; "+
			"start one with `jetstream server`, or name another with --host and --api-control-port", c.address)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return wrap(api.CodeTimeout, "no answer from %s in time: is the address right, and is the server up?", c.address)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return wrap(api.CodeUnavailable, "%s hung up before it had answered; was it stopped?", c.address)
	}
	reason := err
	if e, ok := errors.AsType[*url.Error](err); ok {
		reason = e.Err // without the method and the URL, which people did not write
	}
	return wrap(api.CodeUnavailable, "%s cannot be reached: %v", c.address, reason)
}

// refused also knows Windows' own number for it, which the syscall package
// does not translate.
func refused(err error) bool {
	const wsaECONNREFUSED = syscall.Errno(10061)
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaECONNREFUSED)
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// untrusted describes what is wrong with the server's certificate, "" when err is
// about something else.
func (c *Client) untrusted(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate of " + c.address + " is not for the name " + c.o.Host +
			": give --host as the certificate says it, or this very certificate with --ca FILE"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the certificate of " + c.address + " has expired, or is not valid yet: renew it, or set this machine's clock"
	}
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	if verification || authority {
		return "the certificate of " + c.address + " is not trusted: name it or its CA with --ca FILE"
	}
	return ""
}

// foreign is the failure for an answer that no JetStream server gives.
func (c *Client) foreign(resp *http.Response, text []byte) error {
	if resp.StatusCode == http.StatusBadRequest && resp.TLS == nil && strings.Contains(string(text), "HTTPS server") {
		return api.Errorf(api.CodeUnavailable, "the server at %s speaks TLS only: add --tls, or --ca FILE for a CA of your own", c.address)
	}
	return api.Errorf(api.CodeUnavailable, "what answers at %s is no JetStream server: it said HTTP %d with %q",
		c.address, resp.StatusCode, resp.Header.Get("Content-Type"))
}
