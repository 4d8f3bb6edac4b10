package netcause

import (
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
)

// phase is how far a request came.
type phase int

const (
	begun phase = iota
	lookingUp
	connecting
	connected
	handshaking
	waiting
	reading
)

func (p phase) text() string {
	return [...]string{
		"", " while looking up the host name", " while connecting", "", " during the TLS handshake",
		" while waiting for the answer", " while reading the answer",
	}[p]
}

// Watch follows one request. Nil follows none.
type Watch struct {
	host, scheme string
	// The request holds secrets. Printers and reflection do not look into functions.
	ended func() error            // its context's end
	proxy func() (*url.URL, bool) // see ProxyOf

	mu      sync.Mutex
	at      phase
	address string // that was dialled last
}

// Follow gives a copy of a request to send instead of it, and what follows it. carrier
// is the transport or client that sends it.
func Follow(req *http.Request, carrier any) (*http.Request, *Watch) {
	w := &Watch{
		host: req.URL.Hostname(), scheme: req.URL.Scheme, ended: req.Context().Err,
		proxy: func() (*url.URL, bool) { return ProxyOf(carrier, req) },
	}
	trace := &httptrace.ClientTrace{
		GetConn:      func(string) { w.begin() },
		DNSStart:     func(httptrace.DNSStartInfo) { w.reached(lookingUp, "") },
		ConnectStart: func(_, address string) { w.reached(connecting, address) },
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				w.reached(connected, "")
			}
		},
		TLSHandshakeStart: func() { w.reached(handshaking, "") },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				w.reached(connected, "")
			}
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { w.reached(waiting, "") },
		GotFirstResponseByte: func() { w.reached(reading, "") },
	}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace)), w
}

// begin is for each time that net/http sends the request: it may try another connection.
func (w *Watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.address = begun, ""
}

// reached notes a phase. A request may be sent over another connection than the one that
// is made for it, and which goes on meanwhile.
func (w *Watch) reached(at phase, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at < waiting && w.at >= waiting {
		return
	}
	w.at = at
	if address != "" {
		w.address = address
	}
}

// Phase says how far the request came, such as " while connecting to 10.0.0.4:443", or
// "" if that is not known.
func (w *Watch) Phase() string {
	if w == nil {
		return ""
	}
	w.mu.Lock()
	at, address := w.at, w.address
	w.mu.Unlock()
	switch at {
	case connecting:
		return at.text() + " to " + address
	case connected:
		if proxy, _ := w.proxy(); proxy != nil {
			return " while the proxy " + proxy.Host + " opens the tunnel"
		}
	}
	return at.text()
}

// Read reads the error of the request, with all that is known of it.
func (w *Watch) Read(err error) *Error {
	found := *read(err)
	if w == nil || found.followed {
		return &found
	}
	if ended := w.ended(); ended != nil && found.Kind == Unknown {
		found = *read(ended) // net/http gives the context's cause, of any type
	}
	found.followed = true
	proxy, uses := w.proxy()
	switch {
	case (found.Kind == ProxyRefused || found.Kind == ProxyLost) && found.Proxy == "":
		found.through(proxy, w.scheme, w.host)
	case found.Kind == Timeout && found.What == whats[Timeout]:
		found.What += w.Phase()
	}
	if uses && !isLocal(w.host) && (proxy == nil || found.Kind == ProxyLost) {
		found.blame(w.scheme)
	}
	if found.Host == "" {
		found.Host = w.host
	}
	if name := OwnName(w.host); name != "" && isOfHost[found.Kind] {
		found.cure = curePrivate(name)
	}
	return &found
}

// isOfHost holds the causes that a private endpoint's name may have.
var isOfHost = map[Kind]bool{Host: true, DNS: true, Refused: true, Unreachable: true, Timeout: true, Name: true}
