package httpclient

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"unicode"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/paste"
)

// Option changes how a token source works. The default is always the safe one. If
// an option is given twice, the last one counts. A nil Option changes nothing.
//
// Nil for what an option sets means the default, and so does a typed nil, such as
// (*http.Transport)(nil). [WithKeySource] refuses both.
type Option func(*options)

type options struct {
	logger         *slog.Logger
	audit          *slog.Logger
	base           http.RoundTripper
	tokenTransport http.RoundTripper
	hosts          map[string]bool // in canonical form
	allowHTTP      bool
	keys           KeySource
	cacheSize      int
	meters         metric.MeterProvider
	tracers        trace.TracerProvider
	clock          tokencache.Clock
	problems       []error
}

// newOptions lets the options change the defaults, and turns each typed nil into nil.
func newOptions(opts []Option) options {
	o := options{clock: tokencache.System(), cacheSize: defaultCacheSize}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	for _, logger := range []**slog.Logger{&o.logger, &o.audit} {
		if *logger != nil && isNil((*logger).Handler()) {
			*logger = nil // such as the zero Logger, which panics
		}
	}
	if isNil(o.base) {
		o.base = nil
	}
	if isNil(o.tokenTransport) {
		o.tokenTransport = nil
	}
	if isNil(o.meters) {
		o.meters = nil
	}
	if isNil(o.tracers) {
		o.tracers = nil
	}
	return o
}

// isNil reports whether v is nil, or a nil pointer or function of some type.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}

// needsClose names an option that keeps its source alive until Close. It is ""
// without such an option.
func (o *options) needsClose() string {
	if o.meters != nil {
		return "WithMeterProvider"
	}
	return ""
}

// WithLogger sends warnings to logger, and the steps that EnableDebugLog makes
// visible. The default is what [slog.Default] is when the source is made, so that
// no warning is lost.
func WithLogger(logger *slog.Logger) Option {
	return func(o *options) { o.logger = logger }
}

// WithBaseTransport sends the API's requests through base, which lies under the
// token. It is the place for a proxy, for retries or for telemetry. Token requests
// do not use it. The default is [http.DefaultTransport].
func WithBaseTransport(base http.RoundTripper) Option {
	return func(o *options) { o.base = base }
}

// WithTokenTransport sends the requests to Maskinporten or Texas, and to Altinn's
// exchange, through transport. It is for a proxy of their own, or for a test server. It sees
// assertions and tokens. The default is a transport of the source's own, with TLS
// 1.2 or later and the environment's proxy settings. Redirects are never followed.
func WithTokenTransport(transport http.RoundTripper) Option {
	return func(o *options) { o.tokenTransport = transport }
}

// WithAllowedHosts lists the only hosts that tokens may be sent to. A request to
// another one, by its URL or its Host header, fails with [ErrHostNotAllowed].
// Without this option a token goes to whichever host the program asks for, so list
// the hosts if URLs come from outside of the program.
//
//   - A host is a whole name in any case, such as "api.example". There are no wildcards.
//   - An IP address may be written in any of its forms. An IPv6 address may be in
//     brackets.
//   - A host has no port.
//
// NewTokenSource returns an error about anything else, and about an empty list.
func WithAllowedHosts(hosts ...string) Option {
	return func(o *options) {
		o.hosts = make(map[string]bool, len(hosts))
		for i, host := range hosts {
			canonical, ok := allowedHost(host)
			if !ok {
				o.problems = append(o.problems, fmt.Errorf("httpclient: WithAllowedHosts: host %d is neither a host name nor an IP address: leave out scheme, port, path and wildcard", i+1))
			}
			o.hosts[canonical] = true
		}
		if len(hosts) == 0 {
			o.problems = append(o.problems, errors.New("httpclient: WithAllowedHosts lists no host, so no request could be made"))
		}
	}
}

// allowedHost gives the canonical form of a host that WithAllowedHosts lists, and
// reports whether it is one.
func allowedHost(host string) (string, bool) {
	if bracketed, ok := strings.CutPrefix(host, "["); ok {
		address, closed := strings.CutSuffix(bracketed, "]")
		address = strings.Replace(address, "%25", "%", 1) // a URL escapes the zone's sign
		ip, err := netip.ParseAddr(address)
		return canonicalHost(address), closed && err == nil && ip.Is6()
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return canonicalHost(host), true
	}
	return canonicalHost(host), isHostName(host)
}

// isHostName reports whether a text is a host's name: labels of letters, digits, dashes
// and underscores, at most 63 bytes each (RFC 1035 section 2.3.4). A dot may end it.
func isHostName(host string) bool {
	if len(host) > 253 || paste.Kind(host) != "" {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		odd := strings.ContainsFunc(label, func(r rune) bool { return r != '-' && r != '_' && !unicode.In(r, unicode.L, unicode.M, unicode.N) })
		if label == "" || len(label) > 63 || odd {
			return false
		}
	}
	return true
}

// WithKeySource signs with the keys that source gives. The settings must not hold
// a key then, except beside one of [ReloadingKeys]. NewTokenSource returns an error about
// a nil source.
func WithKeySource(source KeySource) Option {
	return func(o *options) {
		if isNil(source) {
			o.problems = append(o.problems, errors.New("httpclient: WithKeySource: the source is nil"))
			source = nil
		}
		if reloading, ok := source.(*reloadingKeys); ok && reloading.wrong != nil {
			o.problems = append(o.problems, reloading.wrong)
		}
		o.keys = source
	}
}

// WithCacheSize keeps at most n tokens besides the settings' own: those that contexts
// ask for, such as by [ContextWithSystemUser]. The least recently used leave first. n
// is at least 1, and the default is 10,000.
func WithCacheSize(n int) Option {
	return func(o *options) {
		if n < 1 {
			o.problems = append(o.problems, fmt.Errorf("httpclient: WithCacheSize: %d is less than 1", n))
		}
		o.cacheSize = n
	}
}

// InsecureAllowHTTP lets tokens travel over plain http to other machines. Everybody on
// the way can read and use them. Use it only in a network that encrypts by itself, such
// as a service mesh.
func InsecureAllowHTTP() Option {
	return func(o *options) { o.allowHTTP = true }
}
