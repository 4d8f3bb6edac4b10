package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A client whose tokens are measured with OpenTelemetry's SDK. A program has an
// exporter where this has a reader and a recorder.
func Example_openTelemetry() {
	reader := sdkmetric.NewManualReader()
	spans := tracetest.NewSpanRecorder()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))

	srv := maskinportentest.NewServer()
	defer srv.Close()
	srv.Handle("/api", http.NotFoundHandler())
	settings, err := httpclient.ParseSettings(srv.Section())
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := httpclient.NewTokenSource(settings,
		httpclient.WithMeterProvider(meters), httpclient.WithTracerProvider(tracers),
		httpclient.WithTokenTransport(srv.Transport()), httpclient.WithBaseTransport(srv.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	for range 3 {
		resp, err := source.Client().Get(srv.PlatformURL() + "/api")
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
		return
	}
	lines := []string{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, point := range sum.DataPoints {
				result, _ := point.Attributes.Value(attribute.Key("maskinporten.client.result"))
				lines = append(lines, fmt.Sprintln(m.Name, result.AsString(), point.Value))
			}
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Print(line)
	}
	for _, span := range spans.Ended() {
		fmt.Println("span", span.Name())
	}
	// Output:
	// maskinporten.client.token.requests cached 2
	// maskinporten.client.token.requests new 1
	// span maskinporten.client.fetch
}
