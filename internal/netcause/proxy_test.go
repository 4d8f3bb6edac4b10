package netcause_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/internal/netcause"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

const childVariable = "NETCAUSE_TEST_CHILD"

// Variables of the environment, as net/http reads them: once a process, so that each
// case is one.
func TestProxyVariables(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		proxyChild(t)
		return
	}
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, canary, http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	wants := strings.TrimPrefix(proxy.URL, "http://")
	socks := socksThatRefuses(t)
	const (
		direct   = "lookup HOST on DNS: no network"
		cureDNS  = "check this machine's DNS and the egress rules: no DNS server gives an answer"
		refused  = "the proxy 127.0.0.1:PORT (%s) refused the tunnel: 407 Proxy Authentication Required"
		password = "put the user name and password that the proxy wants into "
		lost     = "no connection to the proxy 127.0.0.1:PORT (HTTPS_PROXY): dial tcp 127.0.0.1:PORT: connect: connection refused"
		set      = " to a URL such as http://proxy.example:3128: its value is not one (percent-encode special characters of a password)"
		unread   = "; Go does not read %s for https addresses: set HTTPS_PROXY"
	)
	for name, c := range map[string]struct {
		environ    []string
		what, cure string
	}{
		"upper case":              {[]string{"HTTPS_PROXY=http://user:" + canary + "@" + wants, "https_proxy=http://127.0.0.1:1"}, fmt.Sprintf(refused, "HTTPS_PROXY"), password + "HTTPS_PROXY"},
		"lower case, no scheme":   {[]string{"https_proxy=" + wants}, fmt.Sprintf(refused, "https_proxy"), password + "https_proxy"},
		"not there":               {[]string{"HTTPS_PROXY=http://127.0.0.1:1"}, lost, "check HTTPS_PROXY and the proxy 127.0.0.1:PORT: there is no connection to it"},
		"SOCKS, not there":        {[]string{"HTTPS_PROXY=socks5://127.0.0.1:1"}, lost, "check HTTPS_PROXY and the proxy 127.0.0.1:PORT: there is no connection to it"},
		"SOCKS that refuses":      {[]string{"HTTPS_PROXY=socks5://" + socks}, "the proxy 127.0.0.1:PORT (HTTPS_PROXY) opens no connection to the host", "have the proxy let this machine reach HOST, or name that host in NO_PROXY"},
		"not a URL":               {[]string{"HTTPS_PROXY=http://user:" + canary + "%zz@proxy:3128"}, "HTTPS_PROXY is not a proxy's URL: " + direct, "set HTTPS_PROXY" + set},
		"a scheme without colon":  {[]string{"https_proxy=http//proxy:3128/" + canary}, "https_proxy is not a proxy's URL", "set https_proxy" + set},
		"a slash in the password": {[]string{"HTTPS_PROXY=" + canary + "/word@proxy:3128"}, "HTTPS_PROXY is not a proxy's URL", "set HTTPS_PROXY" + set},
		"another scheme":          {[]string{"HTTPS_PROXY=ftp://127.0.0.1:1"}, "HTTPS_PROXY is not a proxy's URL", "set HTTPS_PROXY" + set},
		"for all":                 {[]string{"ALL_PROXY=http://" + wants}, direct, cureDNS + fmt.Sprintf(unread, "ALL_PROXY")},
		"for http":                {[]string{"http_proxy=http://" + wants}, direct, cureDNS + fmt.Sprintf(unread, "http_proxy")},
		"not for this host":       {[]string{"HTTPS_PROXY=http://" + wants, "NO_PROXY=" + causetest.Host, "ALL_PROXY=x"}, direct, cureDNS},
		"none":                    {nil, direct, cureDNS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyVariables$")
			cmd.Env = append(withoutProxies(os.Environ()), append(c.environ, childVariable+"=1")...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(out), "\n")
			if what, cure := causetest.General(lines[0], "ADDRESS"), causetest.General(lines[1], "ADDRESS"); what != c.what || cure != c.cure {
				t.Errorf("got  %s\n     %s\nwant %s\n     %s", what, cure, c.what, c.cure)
			}
			if strings.Contains(string(out), canary) {
				t.Errorf("got a part of the variable's value, want none: %s", out)
			}
		})
	}
}

// withoutProxies is an environment without the variables of proxies.
func withoutProxies(environ []string) []string {
	return slices.DeleteFunc(environ, func(v string) bool {
		name, _, _ := strings.Cut(strings.ToLower(v), "=")
		return strings.HasSuffix(name, "_proxy")
	})
}

// proxyChild prints the cause and the cure of a request in a process of its own. There
// is no network but this machine.
func proxyChild(t *testing.T) {
	t.Helper()
	dialer := net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network")
	}}}
	got := fetch(t, &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, OnProxyConnectResponse: netcause.RefusedByProxy,
	}, "https://"+causetest.Host+"/")
	fmt.Fprintf(os.Stdout, "%s\n%s\n%+v\n", got, got.Cure("ADDRESS"), got)
}

// socksThatRefuses is a SOCKS proxy that reaches no host (RFC 1928 section 6).
func socksThatRefuses(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		_, _ = io.CopyN(io.Discard, r, 3) // version 5, one method, no login
		_, _ = c.Write([]byte{5, 0})
		_, _ = io.CopyN(io.Discard, r, 7+int64(len(causetest.Host)))
		_, _ = c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}) // host unreachable
	}()
	return l.Addr().String()
}

func TestProxyOf(t *testing.T) {
	t.Parallel()
	proxy := &url.URL{Scheme: "http", Host: "p:1"}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+causetest.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	ofMachine, err := http.ProxyFromEnvironment(req)
	if err != nil {
		t.Fatal(err)
	}
	with := func(proxy *url.URL, err error) *http.Transport {
		return &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return proxy, err }}
	}
	for name, c := range map[string]struct {
		carrier any
		want    *url.URL
		uses    bool
	}{
		"a transport with a proxy":    {with(proxy, nil), proxy, true},
		"a client with one":           {&http.Client{Transport: with(proxy, nil)}, proxy, true},
		"a transport without":         {&http.Transport{}, nil, false},
		"a nil transport":             {(*http.Transport)(nil), nil, false},
		"a nil client":                {(*http.Client)(nil), nil, false},
		"the default transport":       {&http.Client{}, ofMachine, true},
		"something else":              {"x", nil, false},
		"nothing":                     {nil, nil, false},
		"a proxy that is not known":   {with(proxy, errQuoting), nil, true},
		"a transport that needs none": {with(nil, nil), nil, true},
	} {
		if got, uses := netcause.ProxyOf(c.carrier, req); fmt.Sprint(got) != fmt.Sprint(c.want) || uses != c.uses {
			t.Errorf("%s: got %v, %t, want %v, %t", name, got, uses, c.want, c.uses)
		}
	}
}

// A tunnel that opens is not an error.
func TestTunnelOpens(t *testing.T) {
	t.Parallel()
	if err := netcause.RefusedByProxy(t.Context(), &url.URL{}, nil, &http.Response{StatusCode: http.StatusOK}); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
