package httpclient

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// Option changes how a token source works. The default is always the safe one. Of
// an option given twice the last counts; a nil Option is none, and nil for what an
// option sets means its default, but for [WithKeySource].
type Option func(*options)

type options struct {
	logger         *slog.Logger
	base           http.RoundTripper
	tokenTransport http.RoundTripper
	hosts          map[string]bool
	allowHTTP      bool
	keys           KeySource
	cacheSize      int
	meters         metric.MeterProvider
	tracers        trace.TracerProvider
	clock          tokencache.Clock
	problems       []error
}

func newOptions(opts []Option) options {
	o := options{clock: tokencache.System(), cacheSize: defaultCacheSize}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
}

// WithLogger sends warnings, and the steps that EnableDebugLog makes visible,
// to logger. The default is what [slog.Default] is when the source is made, so
// that warnings do not vanish.
func WithLogger(logger *slog.Logger) Option {
	return func(o *options) { o.logger = logger }
}

// WithBaseTransport sends the API's requests through base, under the token:
// the place for a proxy, for retries or for telemetry. The default is
// [http.DefaultTransport]. Token requests do not use it.
func WithBaseTransport(base http.RoundTripper) Option {
	return func(o *options) { o.base = base }
}

// WithTokenTransport sends the requests to Maskinporten and to Altinn's
// exchange through transport: for a proxy of their own, or a test double. It
// sees assertions and tokens. The default is a transport of the source's own,
// with TLS 1.2 or later and the environment's proxy settings. Redirects are
// followed in no case.
func WithTokenTransport(transport http.RoundTripper) Option {
	return func(o *options) { o.tokenTransport = transport }
}

// WithAllowedHosts lists the only host names, without ports, that tokens may be
// sent to, by a request's URL and by its Host header; a request to another one fails
// with [ErrHostNotAllowed]. Without this option a token goes to whichever host the
// program asks for: list the hosts where URLs come from outside of the program. Names
// are whole, in any case, without wildcards; anything else, and an empty list, is an
// error of NewTokenSource.
func WithAllowedHosts(hosts ...string) Option {
	return func(o *options) {
		o.hosts = make(map[string]bool, len(hosts))
		for _, host := range hosts {
			if u, err := url.Parse("https://" + host); err != nil || host == "" || u.Hostname() != host || strings.Contains(host, "*") {
				o.problems = append(o.problems, fmt.Errorf("httpclient: WithAllowedHosts: %q is not a host name alone, without port or wildcard", host))
			}
			o.hosts[foldHost(host)] = true
		}
		if len(hosts) == 0 {
			o.problems = append(o.problems, errors.New("httpclient: WithAllowedHosts lists no host, so no request could be made"))
		}
	}
}

// WithKeySource signs with the keys that source gives, in place of a key in the
// settings, which must hold none then.
func WithKeySource(source KeySource) Option {
	return func(o *options) {
		if source == nil {
			o.problems = append(o.problems, errors.New("httpclient: WithKeySource: the source is nil"))
		}
		o.keys = source
	}
}

// WithCacheSize keeps the tokens of so many kinds of request that have options of
// their own, such as [ContextWithSystemUser]; the least recently used leave first. The
// default is [defaultCacheSize]. At least 1.
func WithCacheSize(n int) Option {
	return func(o *options) {
		if n < 1 {
			o.problems = append(o.problems, fmt.Errorf("httpclient: WithCacheSize: %d is less than 1", n))
		}
		o.cacheSize = n
	}
}

// InsecureAllowHTTP lets tokens travel over plain http to other machines, where
// everybody on the way can read and use them. It is for a network that encrypts
// by itself, such as a service mesh, and for nothing else.
func InsecureAllowHTTP() Option {
	return func(o *options) { o.allowHTTP = true }
}
