package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// recorder is OpenTelemetry's API as far as it is used, for what is recorded.
// The real SDK is used in the integration tests.
type recorder struct {
	mu       sync.Mutex
	lines    []string
	callback metric.Callback
	unhooked bool
	failAt   string
}

func (r *recorder) MeterProvider() metric.MeterProvider { return meterProvider{recorder: r} }

type meterProvider struct {
	noopmetric.MeterProvider
	recorder *recorder
}

func (p meterProvider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	cfg := metric.NewMeterConfig(opts...)
	p.recorder.add("scope " + name + " " + cfg.InstrumentationVersion())
	return meter{recorder: p.recorder}
}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

// count is how often a line was recorded.
func (r *recorder) count(line string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, l := range r.lines {
		if l == line {
			n++
		}
	}
	return n
}

type meter struct {
	noopmetric.Meter
	recorder *recorder
}

func (m meter) err(name string) error {
	if m.recorder.failAt == name {
		return errors.New("no " + name)
	}
	return nil
}

func (m meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{name: name, recorder: m.recorder}, m.err(name)
}

func (m meter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{name: name, recorder: m.recorder}, m.err(name)
}

func (m meter) Float64ObservableGauge(name string, _ ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return gauge{name: name}, m.err(name)
}

func (m meter) RegisterCallback(f metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	m.recorder.callback = f
	return registration{recorder: m.recorder}, m.err("callback")
}

type registration struct {
	noopmetric.Registration
	recorder *recorder
}

func (r registration) Unregister() error {
	r.recorder.unhooked = true
	return nil
}

type counter struct {
	noopmetric.Int64Counter
	name     string
	recorder *recorder
}

func (c counter) Add(_ context.Context, n int64, opts ...metric.AddOption) {
	set := metric.NewAddConfig(opts).Attributes()
	for range n {
		c.recorder.add(c.name + " " + text(set))
	}
}

type histogram struct {
	noopmetric.Float64Histogram
	name     string
	recorder *recorder
}

func (h histogram) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	set := metric.NewRecordConfig(opts).Attributes()
	h.recorder.add(fmt.Sprintf("%s %s %vs", h.name, text(set), v))
}

type gauge struct {
	noopmetric.Float64ObservableGauge
	name string
}

type observer struct {
	noopmetric.Observer
	values map[string]float64
}

func (o observer) ObserveFloat64(g metric.Float64Observable, v float64, _ ...metric.ObserveOption) {
	o.values[g.(gauge).name] = v
}

func (r *recorder) observe() map[string]float64 {
	o := observer{values: map[string]float64{}}
	_ = r.callback(context.Background(), o)
	return o.values
}

func text(set attribute.Set) string {
	var parts []string
	for _, kv := range set.ToSlice() {
		parts = append(parts, string(kv.Key)+"="+kv.Value.Emit())
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

type tracerProvider struct {
	nooptrace.TracerProvider
	recorder *recorder
}

func (p tracerProvider) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	cfg := trace.NewTracerConfig(opts...)
	p.recorder.add("tracer " + name + " " + cfg.InstrumentationVersion())
	return tracer{recorder: p.recorder}
}

type tracer struct {
	nooptrace.Tracer
	recorder *recorder
}

func (tr tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	cfg := trace.NewSpanStartConfig(opts...)
	return ctx, &span{name: name, recorder: tr.recorder, attributes: cfg.Attributes(), root: cfg.NewRoot(), kind: cfg.SpanKind()}
}

type span struct {
	nooptrace.Span
	name       string
	root       bool
	kind       trace.SpanKind
	recorder   *recorder
	attributes []attribute.KeyValue
	status     string
}

func (s *span) SetAttributes(kv ...attribute.KeyValue) { s.attributes = append(s.attributes, kv...) }

func (s *span) SetStatus(code codes.Code, description string) {
	s.status = code.String() + " " + description
}

func (s *span) End(...trace.SpanEndOption) {
	s.recorder.add(fmt.Sprintf("span %s %v root=%v %s status=%q", s.name, s.kind, s.root, text(attribute.NewSet(s.attributes...)), s.status))
}

func TestMetricsAndSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithLatency(2*time.Second))
		defer srv.Close()
		var r recorder
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true},
			httpclient.WithMeterProvider(r.MeterProvider()), httpclient.WithTracerProvider(tracerProvider{recorder: &r}))
		defer source.Close()
		if got := r.observe(); len(got) != 0 {
			t.Errorf("before any token: %v", got)
		}
		for range 5 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if diff := cmp.Diff(map[string]float64{"maskinporten.client.token.expiry": 1800 - 1 - 60 - 2}, r.observe()); diff != "" {
			t.Error(diff)
		}

		pass(time.Hour)
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"invalid_scope","error_description":"MP-200"}`})
		if _, err := source.Token(t.Context()); err == nil {
			t.Fatal("no error")
		}
		pass(time.Minute)
		srv.Faults.Add(faulttest.Fault{Match: toExchange, Drop: true, Times: -1})
		if _, err := source.Token(t.Context()); err == nil {
			t.Fatal("no error")
		}

		// Two that do not wait for it: one at its deadline, one before it asks.
		pass(time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 2 {
			if _, err := source.Token(short); err == nil {
				t.Fatal("no error")
			}
		}

		const id = "maskinporten.client.id=maskinportentest-client"
		for line, want := range map[string]int{
			"tracer github.com/portnokkel/portnokkel/httpclient (devel)":                                                                                                                       1,
			"scope github.com/portnokkel/portnokkel/httpclient (devel)":                                                                                                                        1,
			"maskinporten.client.token.requests " + id + ",maskinporten.client.result=new":                                                                                                     1,
			"maskinporten.client.token.requests " + id + ",maskinporten.client.result=cached":                                                                                                  4,
			"maskinporten.client.token.requests error.type=400," + id + ",maskinporten.client.result=error":                                                                                    1,
			"maskinporten.client.token.requests error.type=network," + id + ",maskinporten.client.result=error":                                                                                1,
			"maskinporten.client.token.requests error.type=canceled," + id + ",maskinporten.client.result=error":                                                                               2,
			"maskinporten.client.exchange.requests " + id + ",maskinporten.client.result=new":                                                                                                  1,
			"maskinporten.client.exchange.requests error.type=network," + id + ",maskinporten.client.result=error":                                                                             1,
			"maskinporten.client.token.duration " + id + " 2s":                                                                                                                                 2,
			"maskinporten.client.token.duration error.type=400," + id + " 0s":                                                                                                                  1,
			"maskinporten.client.exchange.duration " + id + " 2s":                                                                                                                              1,
			"span maskinporten.client.fetch internal root=true maskinporten.client.altinn=true," + id + ",maskinporten.client.lifetime=1800,maskinporten.client.scope=" + scope + ` status=""`: 1,
		} {
			if got := r.count(line); got != want {
				t.Errorf("recorded %d times, want %d: %s", got, want, line)
			}
		}
		all := strings.Join(r.lines, "\n")
		if !strings.Contains(all, "maskinporten.client.exchange.duration error.type=network,"+id) ||
			!strings.Contains(all, "error.type=400,http.response.status_code=400,"+id) || !strings.Contains(all, `status="Error httpclient: token request of client`) {
			t.Errorf("recorded\n%s", all)
		}
		source.Close()
		if !r.unhooked {
			t.Error("the callback outlives the source")
		}
	})
}

func TestCertificateExpiryIsMeasured(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(10 * 24 * time.Hour).Truncate(time.Second)
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), end)
	var r recorder
	settings := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", EncodedX509: httpclient.NewSecret(certificateSetting(t, leaf, authorities))}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithMeterProvider(r.MeterProvider()), httpclient.WithLogger((&logs{}).logger(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	got := r.observe()["maskinporten.client.certificate.expiry"]
	if left := time.Until(end).Seconds(); got < left-1 || got > left+60 {
		t.Errorf("%v s, want about %v", got, left)
	}
}

func TestMeterThatFails(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"maskinporten.client.token.requests", "maskinporten.client.token.duration", "maskinporten.client.exchange.duration",
		"maskinporten.client.token.expiry", "maskinporten.client.certificate.expiry", "callback",
	} {
		r := recorder{failAt: name}
		if _, err := httpclient.NewTokenSource(settingsOf(t, newDouble(t), nil), httpclient.WithMeterProvider(r.MeterProvider())); message(err) != "httpclient: metrics: no "+name {
			t.Errorf("got %v", err)
		}
	}
}

func TestErrorTypes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		for kind, fault := range map[string]faulttest.Fault{"timeout": {Hang: true, Times: -1}, "network": {Drop: true, Times: -1}, "503": {Status: 503, Times: -1}} {
			var r recorder
			source := sourceOf(t, srv, nil, httpclient.WithMeterProvider(r.MeterProvider()))
			srv.Faults.Add(fault)
			if _, err := source.Token(t.Context()); err == nil || !strings.Contains(strings.Join(r.lines, "\n"), "token.duration error.type="+kind+",") {
				t.Errorf("%s: %v, recorded %q", kind, err, r.lines)
			}
			srv.Faults.Clear()
			source.Close()
		}
	})
	var r recorder
	source, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s"},
		httpclient.WithKeySource(keys()), httpclient.WithTracerProvider(tracerProvider{recorder: &r}))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); err == nil || !strings.Contains(strings.Join(r.lines, "\n"), "error.type=other") {
		t.Errorf("recorded %q", r.lines)
	}
}

// A token that is due for a refresh, but used, is from the cache.
func TestDueTokenCountsAsCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		source, asked := instant(t, httpclient.WithMeterProvider(r.MeterProvider())) // tokens of an hour
		defer source.Close()
		for range 2 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(58 * time.Minute)
		}
		synctest.Wait()
		const line = "maskinporten.client.token.requests maskinporten.client.id=id,maskinporten.client.result="
		if r.count(line+"new") != 1 || r.count(line+"cached") != 1 || asked.Load() != 2 {
			t.Errorf("%d new, %d cached, %d token requests", r.count(line+"new"), r.count(line+"cached"), asked.Load())
		}
	})
}
