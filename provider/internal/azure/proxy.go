package azure

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// proxyError says that a proxy opens no tunnel to a host. It keeps nothing of the
// proxy's URL, which may hold a password.
type proxyError struct {
	proxy  string // its host and who named it; "" if unknown
	status int
}

func newProxyError(proxy *url.URL, status int) *proxyError {
	e := &proxyError{status: status}
	if proxy != nil {
		e.proxy = " " + proxy.Host
		if variable := variableOf(proxy); variable != "" {
			e.proxy += " (named by " + variable + ")"
		}
	}
	return e
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy%s refused the tunnel: %s", e.proxy, statusText(e.status, ""))
}

// refusedByProxy is for [http.Transport.OnProxyConnectResponse]. Without it,
// net/http makes an error of the proxy's own words.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return newProxyError(proxy, resp.StatusCode)
}

// byReasonPhrase recognises a refusal through a transport of the caller's: there
// net/http's error is the reason phrase of the proxy's answer.
func byReasonPhrase(err error) *proxyError {
	for _, status := range []int{
		http.StatusProxyAuthRequired, http.StatusForbidden, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	} {
		if err.Error() == http.StatusText(status) {
			return newProxyError(nil, status)
		}
	}
	return nil
}

// proxyOf is the proxy that a transport of net/http's uses for a request. It is nil
// without a proxy, and for another kind of transport.
func proxyOf(carrier policy.Transporter, req *http.Request) *url.URL {
	client, ok := carrier.(*http.Client)
	if !ok {
		return nil
	}
	proxy := http.ProxyFromEnvironment
	if client.Transport != nil {
		transport, ok := client.Transport.(*http.Transport)
		if !ok || transport.Proxy == nil {
			return nil
		}
		proxy = transport.Proxy
	}
	found, err := proxy(req)
	if err != nil {
		return nil
	}
	return found
}

// variableOf finds the environment variable that names a proxy; "" if no variable does.
// For https addresses net/http reads the first of these two that is set, and no
// other.
func variableOf(proxy *url.URL) string {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		// As net/http does, take a value without a scheme for a host.
		u, err := url.Parse(value)
		if err != nil || u.Scheme == "" || u.Host == "" {
			u, err = url.Parse("http://" + value)
		}
		if err == nil && u.Host == proxy.Host {
			return name
		}
		return ""
	}
	return ""
}
