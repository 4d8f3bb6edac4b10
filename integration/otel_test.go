package integration

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// OpenTelemetry's own SDK gets the metrics and spans that the documentation
// names, and nothing once the source is closed.
func TestOpenTelemetrySDK(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))

	srv := maskinportentest.NewServer()
	defer srv.Close()
	section := srv.Section()
	section["ExhangeToAltinnToken"] = true
	settings, err := httpclient.ParseSettings(section)
	if err != nil {
		t.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(srv.Transport()),
		httpclient.WithMeterProvider(meters), httpclient.WithTracerProvider(tracers))
	if err != nil {
		t.Fatal(err)
	}
	parent, span := tracers.Tracer("test").Start(t.Context(), "a request")
	for range 3 {
		if _, err := source.Token(parent); err != nil {
			t.Fatal(err)
		}
	}
	span.End()

	got := collect(t, reader)
	results := map[string]int64{}
	for _, point := range got["maskinporten.client.token.requests"].(metricdata.Sum[int64]).DataPoints {
		result, _ := point.Attributes.Value(attribute.Key("maskinporten.client.result"))
		results[result.AsString()] = point.Value
	}
	if results["new"] != 1 || results["cached"] != 2 || len(results) != 2 {
		t.Errorf("got results %v, want 1 new and 2 cached", results)
	}
	for _, name := range []string{"maskinporten.client.token.duration", "maskinporten.client.exchange.duration"} {
		points := got[name].(metricdata.Histogram[float64]).DataPoints
		if len(points) != 1 || points[0].Count != 1 {
			t.Errorf("%s: got %+v, want one point of one fetch", name, points)
		}
	}
	if points := got["maskinporten.client.token.expiry"].(metricdata.Gauge[float64]).DataPoints; len(points) != 1 || points[0].Value < 1700 || points[0].Value > 1800 {
		t.Errorf("got %+v, want 1700 to 1800 s", points)
	}
	if _, ok := got["maskinporten.client.key.expiry"]; ok {
		t.Error("got the expiry of a key, want it absent if no end is known")
	}

	var fetches []sdktrace.ReadOnlySpan
	for _, ended := range spans.Ended() {
		if ended.Name() == "maskinporten.client.fetch" {
			fetches = append(fetches, ended)
		}
	}
	if len(fetches) != 1 || fetches[0].Parent().IsValid() || fetches[0].SpanContext().TraceID() == span.SpanContext().TraceID() {
		t.Errorf("got spans %v, want a root of its own trace", fetches)
	}

	source.Close()
	if _, ok := collect(t, reader)["maskinporten.client.token.expiry"]; ok {
		t.Error("got an expiry of a closed source, want no expiry")
	}
}

func collect(t *testing.T, reader sdkmetric.Reader) map[string]metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]metricdata.Aggregation{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m.Data
		}
	}
	return found
}
