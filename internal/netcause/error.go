package netcause

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"strings"
)

// Kind is a cause.
type Kind int

// The causes.
const (
	Unknown       Kind = iota // no answer, or none that HTTP allows
	Host                      // DNS knows no such host
	DNS                       // DNS does not answer
	Refused                   // nothing listens at the address
	Unreachable               // there is no route
	Closed                    // the connection ended
	Timeout                   // no answer in time
	Canceled                  // the caller gave up
	ProxyRefused              // the proxy opens no tunnel
	ProxyLost                 // no connection to the proxy
	ProxyVariable             // the variable that names the proxy is not a URL
	Authority                 // the certificate is not trusted
	Name                      // the certificate is another host's
	Expired                   // the certificate is not valid at this time
	Alert                     // the server ends the TLS handshake
	NotTLS                    // the server does not speak TLS
	Page                      // a web page came in the place of an answer
)

// cures hold {address}, {proxy} and {host}, which [Error.Cure] fills in.
var cures = map[Kind]string{
	Unknown:      "check {address} and the proxy: something else answers in the server's place",
	Host:         "check {address}: its host name is misspelt, or this machine's DNS does not know it",
	DNS:          "check this machine's DNS and the egress rules: no DNS server gives an answer",
	Refused:      "check {address} and the egress rules: nothing listens there",
	Unreachable:  "check the network and the egress rules: there is no route to the server",
	Closed:       "try again later; if it stays so, a proxy or firewall on the way cuts the connection",
	Timeout:      "check the egress rules, the firewall and the proxy",
	ProxyRefused: "have the proxy let this machine reach {host}, or name that host in NO_PROXY",
	ProxyLost:    "check {proxy}: there is no connection to it",
	ProxyVariable: "set {proxy} to a URL such as http://proxy.example:3128: its value is not one " +
		"(percent-encode special characters of a password)",
	Authority: "install the root certificates on this machine (in a container the package ca-certificates), and that of a proxy that opens TLS",
	Name:      "check {address}, this machine's DNS and the proxy: another server answers there",
	Expired:   "check this machine's clock; if it is right, the server's owner must renew the certificate",
	Alert:     "check {address} and the proxy: one of them refuses the TLS connection, and may want another TLS version or a client certificate",
	NotTLS:    "check the scheme and port of {address}, and the proxy: the server does not speak TLS",
	Page:      "check {address} and the proxy: a log-in page or proxy answers in its place",
}

// The cures of a proxy that refuses, for some statuses.
const (
	cureProxyLogin   = "put the user name and password that the proxy wants into {proxy}"
	cureProxyGateway = "check {address}, and the proxy's own network: the proxy does not reach {host}"
)

// Error is why a request got no answer.
type Error struct {
	Kind Kind
	// What says what happened, in one clause.
	What string
	// Permanent says that trying again cannot help.
	Permanent bool
	// Status is that of the proxy's answer; 0 without one.
	Status int
	// Host is the host that was asked, Proxy the host and port of the proxy, and
	// Variable the environment variable concerned; "" if unknown.
	Host, Proxy, Variable string

	cure  string // "" for the kind's own
	more  string // what is added to the cure
	inner string // why there is no connection to the proxy
	err   error  // of a known type, or nil

	late     bool // it took too long
	followed bool // a Watch has read it
}

// Error is what happened. It is safe on nil.
func (e *Error) Error() string {
	if e == nil {
		return "no error"
	}
	return e.What
}

// Unwrap is an error of the standard library's that quotes no server, or nil.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.err
}

// Is makes every time-out both of the standard library's, whoever's clock ended the
// request.
func (e *Error) Is(target error) bool {
	return e != nil && e.late && (target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded)
}

// Cure says what to do. address is what names the server's address, such as a setting.
// It is "" if there is nothing to do.
func (e *Error) Cure(address string) string {
	if e == nil {
		return ""
	}
	proxy := "the transport's proxy"
	switch {
	case e.Variable != "" && e.Proxy != "" && e.Kind == ProxyLost:
		proxy = e.Variable + " and the proxy " + e.Proxy
	case e.Variable != "":
		proxy = e.Variable
	case e.Proxy != "":
		proxy += " " + e.Proxy
	}
	cure := strings.NewReplacer("{address}", address, "{proxy}", proxy, "{host}", cmp.Or(e.Host, "the host")).
		Replace(cmp.Or(e.cure, cures[e.Kind]))
	return cure + e.more
}

// Of is an error of a kind of which nothing else is known.
func Of(kind Kind) *Error {
	e := &Error{Kind: kind, What: whats[kind], Permanent: permanent[kind]}
	if kind == Canceled {
		e.err = context.Canceled
	}
	e.late = kind == Timeout
	return e
}

// whats say what happened if only the kind is known.
var whats = map[Kind]string{
	Unknown: "there was no answer, or none that HTTP allows", Host: "no such host", DNS: "the host name was not looked up",
	Refused: "connection refused", Unreachable: "network is unreachable", Closed: "the connection ended before the answer did",
	Timeout: "no answer in time", Canceled: "the context was canceled",
	ProxyRefused: "the proxy refused the tunnel", ProxyLost: "no connection to the proxy", ProxyVariable: "the proxy's variable is not a URL",
	Authority: "the certificate is not trusted", Name: "the certificate is for another host",
	Expired: "the certificate is expired or not yet valid", Alert: "the TLS handshake was refused",
	NotTLS: "the server does not speak TLS", Page: "the answer is an HTML page",
}

var permanent = map[Kind]bool{Authority: true, Name: true, Expired: true, Alert: true, NotTLS: true}

func of(kind Kind, what string, err error) *Error {
	e := Of(kind)
	if err != nil {
		e.err = err
	}
	if what != "" {
		e.What = what
	}
	return e
}

// mayPass reports whether a proxy that answers with the status may do better later.
func mayPass(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError
}
