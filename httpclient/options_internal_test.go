package httpclient

import (
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
)

// Only metrics keep a source alive until Close.
func TestNeedsClose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts []Option
		want string
	}{
		"nothing":                   {nil, ""},
		"other options":             {[]Option{WithCacheSize(1), WithTracerProvider(trace.TracerProvider(nil)), InsecureAllowHTTP()}, ""},
		"a meter provider":          {[]Option{WithMeterProvider(noop.NewMeterProvider())}, "WithMeterProvider"},
		"nil":                       {[]Option{WithMeterProvider(nil)}, ""},
		"a typed nil":               {[]Option{WithMeterProvider((*pointerProvider)(nil))}, ""},
		"a meter provider, undone":  {[]Option{WithMeterProvider(noop.NewMeterProvider()), WithMeterProvider(nil)}, ""},
		"a meter provider, at last": {[]Option{WithMeterProvider(nil), WithMeterProvider(noop.NewMeterProvider())}, "WithMeterProvider"},
	} {
		o := newOptions(c.opts)
		if got := o.needsClose(); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

type pointerProvider struct{ metric.MeterProvider }
