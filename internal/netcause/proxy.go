package netcause

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
)

// RefusedByProxy is for [http.Transport.OnProxyConnectResponse]. Without it, net/http
// makes an error of the proxy's own words.
func RefusedByProxy(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	host := ""
	if req != nil {
		host, _, _ = net.SplitHostPort(req.Host)
	}
	refused := refusal(resp.StatusCode)
	refused.through(proxy, "https", host)
	return refused
}

func refusal(status int) *Error {
	found := of(ProxyRefused, "", nil)
	found.Status, found.Permanent = status, status != 0 && !mayPass(status)
	switch {
	case status == http.StatusProxyAuthRequired:
		found.cure = cureProxyLogin
	case status >= http.StatusInternalServerError:
		found.cure = cureProxyGateway
	}
	found.through(nil, "", "")
	return found
}

// readProxy knows the errors of a request that goes through a proxy.
func readProxy(err error) *Error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		inner := read(op.Err)
		if inner.Kind == Canceled {
			return inner
		}
		lost := *inner
		lost.Kind, lost.cure, lost.inner = ProxyLost, "", inner.What
		lost.through(nil, "", "")
		return &lost
	}
	if errors.As(err, &op) && op.Op == "socks connect" {
		return refusal(0)
	}
	return nil
}

// through adds which proxy it was. It keeps nothing else of the proxy's URL, which may
// hold a password.
func (e *Error) through(proxy *url.URL, scheme, host string) {
	name := "the proxy"
	if proxy != nil {
		e.Proxy, e.Variable = proxy.Host, variableOf(proxy, scheme)
		name += " " + e.Proxy
		if e.Variable != "" {
			name += " (" + e.Variable + ")"
		}
	}
	e.Host = host
	switch {
	case e.Kind == ProxyLost:
		e.What = "no connection to " + name + ": " + e.inner
	case e.Status == 0:
		e.What = name + " opens no connection to the host"
	default:
		e.What = name + " refused the tunnel: " + statusText(e.Status)
	}
}

// ProxyOf is the proxy that a transport of net/http's uses for a request, and whether
// the transport uses proxies at all. The proxy is nil if there is none, or if carrier is
// another kind of transport.
func ProxyOf(carrier any, req *http.Request) (proxy *url.URL, uses bool) {
	if client, ok := carrier.(*http.Client); ok && client != nil {
		carrier = client.Transport
		if client.Transport == nil {
			carrier = http.DefaultTransport
		}
	}
	transport, ok := carrier.(*http.Transport)
	if !ok || transport == nil || transport.Proxy == nil {
		return nil, false
	}
	proxy, err := transport.Proxy(req)
	if err != nil {
		return nil, true
	}
	return proxy, true
}

// environment is the variable that net/http reads for addresses of a scheme, and its
// value. Of the two spellings it reads the first one that is set.
func environment(scheme string) (name, value string) {
	names := []string{"HTTPS_PROXY", "https_proxy"}
	if scheme == "http" {
		names = []string{"HTTP_PROXY", "http_proxy"}
	}
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// variableOf is the environment variable that names a proxy; "" if no variable does.
func variableOf(proxy *url.URL, scheme string) string {
	name, value := environment(scheme)
	if u := parseProxy(value); u != nil && u.Host == proxy.Host {
		return name
	}
	return ""
}

// parseProxy reads a variable's value as net/http does: one without a scheme is a host.
func parseProxy(value string) *url.URL {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" {
		if bare, err := url.Parse("http://" + value); err == nil {
			return bare
		}
	}
	if err != nil {
		return nil
	}
	return u
}

// badVariable is the variable for a scheme whose value is not a proxy's URL; "" if it
// is one or no variable is set. net/http ignores such a value, or takes it for another
// host's.
func badVariable(scheme string) string {
	name, value := environment(scheme)
	if name == "" {
		return ""
	}
	u := parseProxy(value)
	if u == nil || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) ||
		u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return name
	}
	return ""
}

// unreadVariable is a variable that names a proxy and that net/http does not read for
// a scheme; "" without one.
func unreadVariable(scheme string) string {
	if name, _ := environment(scheme); name != "" {
		return ""
	}
	for _, name := range []string{"ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

// isLocal reports whether net/http uses no proxy for the host, whatever the variables
// say.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// blame says that the variables of proxies may be the cause of a connection that was
// not made.
func (e *Error) blame(scheme string) {
	if e.Kind != ProxyLost && e.Kind != Host && e.Kind != DNS && e.Kind != Refused && e.Kind != Unreachable && e.Kind != Timeout {
		return
	}
	if name := badVariable(scheme); name != "" {
		what := name + " is not a proxy's URL"
		if e.Kind == ProxyLost {
			// What was taken for a host may be part of a password.
			*e = Error{late: e.late, followed: true}
		} else {
			what += ": " + e.What
		}
		e.Kind, e.What, e.Variable = ProxyVariable, what, name
		return
	}
	if name := unreadVariable(scheme); name != "" && e.Kind != ProxyLost {
		e.Variable = name
		e.more = "; Go does not read " + name + " for https addresses: set HTTPS_PROXY"
	}
}
