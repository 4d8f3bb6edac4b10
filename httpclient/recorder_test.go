package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
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

func (r *recorder) observe() map[string]float64 {
	o := observer{values: map[string]float64{}}
	_ = r.callback(context.Background(), o)
	return o.values
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

type meterProvider struct {
	noopmetric.MeterProvider
	recorder *recorder
}

func (p meterProvider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	cfg := metric.NewMeterConfig(opts...)
	p.recorder.add("scope " + name + " " + cfg.InstrumentationVersion())
	return meter{recorder: p.recorder}
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

func text(set attribute.Set) string {
	var parts []string
	for _, kv := range set.ToSlice() {
		parts = append(parts, string(kv.Key)+"="+kv.Value.Emit())
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
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
