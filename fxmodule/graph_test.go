package fxmodule_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/knadh/koanf/v2"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

// inGroup puts an option into the group that every module's client is made with.
func inGroup(opt httpclient.Option) fx.Option {
	return fx.Supply(fx.Annotate(opt, fx.ResultTags(`group:"portnokkel"`)))
}

// inGraph is what a test adds to an application: the world's files and servers.
func (w *world) inGraph() fx.Option {
	return fx.Options(
		fx.Supply(w.log.Logger(),
			provider.AppConfig{FS: w.files, Environ: func() []string { return nil }, MountedFile: "no-such-file"},
			provider.ConnectConfig{Config: provider.Config{ClientOptions: w.vault.ClientOptions()}, CredentialOptions: w.vault.CredentialOptions()}),
		inGroup(httpclient.WithTokenTransport(w.porten.Transport())),
		inGroup(httpclient.WithBaseTransport(w.porten.Transport())),
	)
}

// An application that says nothing of tests is tested against both servers.
func TestWholeApplicationFromTheGraph(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	application := fx.Options(fxmodule.Quiet(), fxmodule.Config(), fxmodule.Module("altinn", fxmodule.WarmUp()), fx.Populate(&got))
	app := fxtest.New(t, application, w.inGraph())
	app.RequireStart()
	defer app.RequireStop()
	if status, body := get(t, got.Client); status != 200 || !strings.HasPrefix(body, "altinn=true") {
		t.Errorf("got %d %s, want the API's answer", status, body)
	}
}

// What an application's own options say wins over the graph, field by field.
func TestOptionsWinOverTheGraph(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.Set("Unread--Secret", "x")
	own := fstest.MapFS{"appsettings.json": w.files["appsettings.json"], "appsettings.Own.json": w.files["appsettings.Production.json"]}
	wrong := provider.AppConfig{FS: fstest.MapFS{}, Dir: "no-such-directory", Environment: "Other", Environ: func() []string { return []string{"Extra__Key=x"} }}
	var got altinn
	var k *koanf.Koanf
	app := fxtest.New(t, fx.NopLogger,
		fxmodule.Config(
			fxmodule.AppConfig(provider.AppConfig{FS: own, Environment: "Own", MountedFile: "none", Logger: w.log.Logger()}),
			fxmodule.KeyVault(provider.ConnectConfig{Config: provider.Config{Sections: []string{"MaskinportenSettings"}}, CredentialOptions: w.vault.CredentialOptions()})),
		fx.Supply(wrong, provider.ConnectConfig{Config: provider.Config{Credential: refusing, Sections: []string{"Unread"}, ClientOptions: w.vault.ClientOptions()}, Require: true}),
		fx.Provide(func() azcore.TokenCredential { return provider.Credential(refusing) }),
		inGroup(httpclient.WithTokenTransport(http.DefaultTransport)), inGroup(httpclient.WithBaseTransport(http.DefaultTransport)),
		fxmodule.Module("altinn", w.servers()), fx.Populate(&got, &k))
	app.RequireStart()
	defer app.RequireStop()
	if status, _ := get(t, got.Client); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	if k.Exists("Unread:Secret") || k.String("Extra:Key") != "x" {
		t.Errorf("got %v, want the options' Sections and the graph's Environ", k.Keys())
	}
}

// refusing is a credential that must not be asked.
func refusing(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("the wrong credential was asked")
}

// The graph's credential reads the vault: kvSetting says only which.
func TestCredentialFromTheGraph(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		option, graph func(*world) (azcore.TokenCredential, error)
		want          error
	}{
		"it is used":               {graph: theVaults},
		"the option's wins":        {option: theVaults, graph: func(*world) (azcore.TokenCredential, error) { return provider.Credential(refusing), nil }},
		"a nil pointer is not one": {graph: func(*world) (azcore.TokenCredential, error) { return (*azidentity.ClientSecretCredential)(nil), nil }, want: httpclient.ErrMissing},
		"a nil is not one":         {graph: func(*world) (azcore.TokenCredential, error) { return nil, nil }, want: httpclient.ErrMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": map[string]any{"SecretUri": w.vault.VaultURL()}})
			graph := fx.Options()
			config := w.config(func(kv *provider.ConnectConfig) {
				kv.CredentialOptions = azidentity.ClientSecretCredentialOptions{}
				if c.option != nil {
					credential, err := c.option(w)
					if err != nil {
						t.Fatal(err)
					}
					kv.Credential = credential.GetToken
					graph = fx.Supply(provider.ConnectConfig{CredentialOptions: w.vault.CredentialOptions()})
				}
			})
			err := fx.New(w.app(config, graph, fxmodule.Module("altinn", w.servers()), fx.Invoke(func(altinn) {}),
				fx.Provide(func() (azcore.TokenCredential, error) { return c.graph(w) }))...).Err()
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func theVaults(w *world) (azcore.TokenCredential, error) { return w.vault.Credential() }

type tracers struct {
	tracenoop.TracerProvider
	asked atomic.Int32
}

func (p *tracers) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	p.asked.Add(1)
	return p.TracerProvider.Tracer(name, opts...)
}

type meters struct {
	metricnoop.MeterProvider
	asked atomic.Int32
}

func (p *meters) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	p.asked.Add(1)
	return p.MeterProvider.Meter(name, opts...)
}

// Every module's client is recorded by the graph's providers, unless it has its own.
func TestTelemetryFromTheGraph(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	graph, own := struct {
		tracers tracers
		meters  meters
	}{}, struct {
		tracers tracers
		meters  meters
	}{}
	app := fxtest.New(t, w.app(
		fx.Provide(func() trace.TracerProvider { return &graph.tracers }, func() metric.MeterProvider { return &graph.meters }),
		w.config(), fxmodule.Module("altinn", w.servers()), fxmodule.Module("second", w.servers()),
		fxmodule.Module("own", w.servers(), fxmodule.ClientOptions(httpclient.WithTracerProvider(&own.tracers), httpclient.WithMeterProvider(&own.meters))),
		fx.Invoke(func(altinn, struct {
			fx.In

			Second *http.Client `name:"second"`
			Own    *http.Client `name:"own"`
		},
		) {
		}))...)
	app.RequireStart().RequireStop()
	if got := [4]int32{graph.tracers.asked.Load(), graph.meters.asked.Load(), own.tracers.asked.Load(), own.meters.asked.Load()}; got != [4]int32{2, 2, 1, 1} {
		t.Errorf("got %v uses of the graph's tracers and meters and of the client's own, want [2 2 1 1]", got)
	}
}
