package netcause

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// Read reads the error of a request that got no whole answer. It never returns nil, and
// reads an [Error] as itself.
func Read(err error) *Error { return (*Watch)(nil).Read(err) }

// read goes by the types of errors, and then by net/http's own texts.
func read(err error) *Error {
	if found := Typed(err); found != nil {
		return found
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // the rest is the method and the address
	}
	if found := readText(err); found != nil {
		return found
	}
	return of(Unknown, fmt.Sprintf("no readable answer (%T)", root(err)), nil)
}

// Typed reads an error by its types only. It is nil for an error of no type that it
// knows, such as one of code that is not net/http's.
func Typed(err error) *Error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return known
	}
	for _, reader := range []func(error) *Error{readProxy, readTLS, readDNS, readDial, readEnd} {
		if found := reader(err); found != nil {
			return found
		}
	}
	return nil
}

// readText knows the errors of net/http that have no type of their own. It quotes
// nothing of them.
func readText(err error) *Error {
	text := err.Error()
	for _, status := range []int{
		http.StatusProxyAuthRequired, http.StatusForbidden, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	} {
		// A proxy that opens no tunnel: the text is its answer's reason phrase.
		if text == http.StatusText(status) {
			return refusal(status)
		}
	}
	for _, part := range []string{"GOAWAY", "stream error: ", "http2: "} {
		if strings.Contains(text, part) {
			return of(Closed, "the server closed the connection (HTTP/2)", nil)
		}
	}
	return nil
}

// root is the innermost error, whose type says most.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func readDNS(err error) *Error {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return nil
	}
	kind := DNS
	if dns.IsNotFound {
		kind = Host
	}
	kept := *dns
	kept.Err, kept.UnwrapErr = clean(dns.Err), known(dns.UnwrapErr)
	found := of(kind, clean(kept.Error()), &kept)
	found.Host = dns.Name
	return found
}

// readDial knows what stands in the way of a connection: no server sent anything yet.
func readDial(err error) *Error {
	var dial *net.OpError
	if !errors.As(err, &dial) || dial.Op != "dial" || errors.Is(err, context.Canceled) {
		return nil
	}
	kind := Unreachable
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		kind = Refused
	case dial.Timeout():
		kind = Timeout
	}
	cause := known(dial)
	if cause != nil {
		return of(kind, cause.Error(), cause)
	}
	if kind == Timeout {
		return of(kind, "dial: no connection in time", nil)
	}
	return of(kind, fmt.Sprintf("dial: no connection (%T)", dial.Err), nil)
}

// known gives the part of an error whose text is made on this machine, or nil.
func known(err error) error {
	var (
		dial  *net.OpError
		call  *os.SyscallError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &dial) && dial.Op == "dial" && known(dial.Err) != nil:
		return &net.OpError{Op: dial.Op, Net: dial.Net, Source: dial.Source, Addr: dial.Addr, Err: known(dial.Err)}
	case errors.As(err, &call):
		if errors.As(call.Err, &errno) {
			return &os.SyscallError{Syscall: call.Syscall, Err: errno}
		}
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return nil
}

// readEnd knows what ends a request on its connection.
func readEnd(err error) *Error {
	var (
		timeout net.Error
		errno   syscall.Errno
	)
	switch {
	case errors.Is(err, context.Canceled):
		return Of(Canceled)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return of(Timeout, whats[Timeout]+phaseOf(err).text(), nil)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return of(Closed, "", ended(err))
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return of(Closed, "the server closed the connection: "+known(err).Error(), known(err))
	case errors.As(err, &errno):
		return of(Unreachable, errno.Error(), errno)
	}
	return nil
}

// ended is the error of the list that err is.
func ended(err error) error {
	for _, end := range []error{io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, end) {
			return end
		}
	}
	return io.EOF
}

// phaseOf knows net/http's own time-outs by their texts.
func phaseOf(err error) phase {
	switch root(err).Error() {
	case "net/http: TLS handshake timeout":
		return handshaking
	case "net/http: timeout awaiting response headers":
		return waiting
	}
	return begun
}

// maxText bounds a text, in characters.
const maxText = 300

// clean makes a text fit for a line of a log.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText-1]) + "…"
	}
	return text
}

func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}
