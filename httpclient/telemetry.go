package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// scopeName is the instrumentation scope of metrics and spans.
const scopeName = "github.com/portnokkel/portnokkel/httpclient"

// version is this module's, as the program was built with it; empty if unknown.
func version() string {
	const module = "github.com/portnokkel/portnokkel"
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(build.Deps, &build.Main) {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}

// WithMeterProvider records metrics with OpenTelemetry. The default records none,
// at no cost. Durations and times to expiry are in seconds.
//
//	maskinporten.client.token.requests       counter by maskinporten.client.result: cached, new, error; by error.type
//	maskinporten.client.token.duration       histogram of requests to Maskinporten, by error.type
//	maskinporten.client.exchange.requests    counter by maskinporten.client.result: new, error; by error.type
//	maskinporten.client.exchange.duration    histogram of Altinn's exchange, by error.type
//	maskinporten.client.token.expiry         gauge: until the settings' own token expires
//	maskinporten.client.key.expiry           gauge: until the key that was used last expires, if that is known
//
// Each carries maskinporten.client.id, and the gauges maskinporten.client.scope. A
// request counts once for each caller, so that several may share one fetch. Errors
// have an error.type
// (https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/):
//
//	300 to 599   the HTTP status
//	timeout      no answer in time
//	network      no answer for another reason
//	canceled     the caller's own context ended
//	other        anything else
//
// A source with metrics must be closed: the provider keeps it otherwise.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(o *options) { o.meters = provider }
}

// WithTracerProvider records a span around each fetch of a token with
// OpenTelemetry. The default records none, at no cost. A fetch belongs to no request
// in particular, so that its span is the root of a trace of its own, of kind internal.
// It never holds a token.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(o *options) { o.tracers = provider }
}

// telemetry records with OpenTelemetry. Nil records nothing.
type telemetry struct {
	tracer trace.Tracer // nil: no spans

	requests    metric.Int64Counter // nil: no metrics
	fetches     metric.Float64Histogram
	exchanges   metric.Float64Histogram
	swaps       metric.Int64Counter
	cached, got metric.MeasurementOption
	client      attribute.KeyValue
	unregister  func() error
}

// buckets are those of the semantic conventions for HTTP clients, up to the longest
// fetch.
var buckets = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20)

const resultKey = "maskinporten.client.result"

// newTelemetry makes the instruments that the options ask for.
func newTelemetry(o options, s *source) (*telemetry, error) {
	if o.meters == nil && o.tracers == nil {
		return nil, nil
	}
	t := &telemetry{client: attribute.String("maskinporten.client.id", s.clientID), unregister: func() error { return nil }}
	if o.tracers != nil {
		t.tracer = o.tracers.Tracer(scopeName, trace.WithInstrumentationVersion(version()))
	}
	if o.meters == nil {
		return t, nil
	}
	result := func(value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(t.client, attribute.String(resultKey, value)))
	}
	t.cached, t.got = result("cached"), result("new")

	meter := o.meters.Meter(scopeName, metric.WithInstrumentationVersion(version()))
	var errs [6]error
	t.requests, errs[0] = meter.Int64Counter("maskinporten.client.token.requests",
		metric.WithUnit("{request}"), metric.WithDescription("Requests for a token, by where it came from."))
	t.fetches, errs[1] = meter.Float64Histogram("maskinporten.client.token.duration",
		metric.WithUnit("s"), buckets, metric.WithDescription("Duration of token requests to Maskinporten, retries included."))
	t.exchanges, errs[2] = meter.Float64Histogram("maskinporten.client.exchange.duration",
		metric.WithUnit("s"), buckets, metric.WithDescription("Duration of the exchange to an Altinn token, retries included."))
	t.swaps, errs[5] = meter.Int64Counter("maskinporten.client.exchange.requests",
		metric.WithUnit("{request}"), metric.WithDescription("Exchanges to an Altinn token, by result."))
	tokenEnd, err := meter.Float64ObservableGauge("maskinporten.client.token.expiry",
		metric.WithUnit("s"), metric.WithDescription("Time until the token expires."))
	errs[3] = err
	keyEnd, err := meter.Float64ObservableGauge("maskinporten.client.key.expiry",
		metric.WithUnit("s"), metric.WithDescription("Time until the key or its certificate expires."))
	errs[4] = err
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("httpclient: metrics: %w", err)
	}
	// A client's sources differ in what their tokens are for.
	attributes := metric.WithAttributeSet(attribute.NewSet(t.client, attribute.String("maskinporten.client.scope", showScope(s.request.scope))))
	registration, err := meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		now := o.clock().Time()
		if token := s.own.Last(); token != nil {
			observer.ObserveFloat64(tokenEnd, token.Expires().Sub(now).Seconds(), attributes)
		}
		if end := s.upstream.keyEnd(); !end.IsZero() {
			observer.ObserveFloat64(keyEnd, end.Sub(now).Seconds(), attributes)
		}
		return nil
	}, tokenEnd, keyEnd)
	if err != nil {
		return nil, fmt.Errorf("httpclient: metrics: %w", err)
	}
	t.unregister = registration.Unregister
	return t, nil
}

// count notes a request for a token: from the cache, or fetched, or failed.
func (t *telemetry) count(ctx context.Context, fromCache bool, err error) {
	switch {
	case t == nil || t.requests == nil:
	case err != nil:
		t.requests.Add(ctx, 1, t.failed(err))
	case fromCache:
		t.requests.Add(ctx, 1, t.cached)
	default:
		t.requests.Add(ctx, 1, t.got)
	}
}

// failed is the result of a request that failed.
func (t *telemetry) failed(err error) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(t.client, attribute.String(resultKey, "error"), errorType(err)))
}

// fetch begins a span around a fetch; the result ends it.
func (t *telemetry) fetch(ctx context.Context, request tokenRequest) (context.Context, func(*Token, error)) {
	if t == nil || t.tracer == nil {
		return ctx, func(*Token, error) {}
	}
	ctx, span := t.tracer.Start(ctx, "maskinporten.client.fetch", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindInternal),
		trace.WithAttributes(t.client, attribute.String("maskinporten.client.scope", showScope(request.scope))))
	return ctx, func(token *Token, err error) {
		defer span.End()
		if err != nil {
			span.SetAttributes(attributesOf(err)...)
			span.SetStatus(codes.Error, problems.OneLine(err))
			return
		}
		span.SetAttributes(attribute.Bool("maskinporten.client.altinn", token.altinn),
			attribute.Float64("maskinporten.client.lifetime", token.life.Seconds()))
	}
}

// fetched and exchanged note how long the two steps of a fetch took.
func (t *telemetry) fetched(ctx context.Context, took time.Duration, err error) {
	if t != nil {
		t.record(ctx, t.fetches, took, err)
	}
}

func (t *telemetry) exchanged(ctx context.Context, took time.Duration, err error) {
	if t == nil {
		return
	}
	t.record(ctx, t.exchanges, took, err)
	switch {
	case t.swaps == nil:
	case err != nil:
		t.swaps.Add(ctx, 1, t.failed(err))
	default:
		t.swaps.Add(ctx, 1, t.got)
	}
}

func (t *telemetry) record(ctx context.Context, histogram metric.Float64Histogram, took time.Duration, err error) {
	if histogram == nil {
		return
	}
	attributes := []attribute.KeyValue{t.client}
	if err != nil {
		attributes = append(attributes, errorType(err))
	}
	histogram.Record(ctx, took.Seconds(), metric.WithAttributeSet(attribute.NewSet(attributes...)))
}

func (t *telemetry) close() {
	if t != nil {
		_ = t.unregister() // its only error is that it was unregistered before
	}
}

func attributesOf(err error) []attribute.KeyValue {
	attributes := []attribute.KeyValue{errorType(err)}
	var failed *TokenError
	if errors.As(err, &failed) && failed.StatusCode != 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", failed.StatusCode))
	}
	return attributes
}

func errorType(err error) attribute.KeyValue {
	var failed *TokenError
	var left *tokencache.WaitError
	kind := "other"
	switch {
	case errors.As(err, &left):
		kind = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	case !errors.As(err, &failed):
	case failed.StatusCode >= http.StatusMultipleChoices:
		kind = strconv.Itoa(failed.StatusCode)
	case failed.Temporary && failed.StatusCode == 0 && failed.URL != "":
		kind = "network"
	}
	return attribute.String("error.type", kind)
}
