package benchmarks

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

// BenchmarkBuild makes a client of settings: it reads the key and checks it.
func BenchmarkBuild(b *testing.B) {
	s := settings()
	b.Run("by=portnokkel", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := httpclient.New(s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStart starts and stops an fx application that is given a client: by
// this project, from a settings file, and by nobody, which is what fx takes.
func BenchmarkStart(b *testing.B) {
	for _, app := range []struct {
		name    string
		options fx.Option
	}{
		{"portnokkel", fx.Options(
			fxmodule.Config(fxmodule.AppConfig(appSettings(b))),
			fxmodule.Module("altinn"),
		)},
		{"fx", fx.Supply(fx.Annotate(http.DefaultClient, fx.ResultTags(`name:"altinn"`)))},
	} {
		b.Run("by="+app.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				startAndStop(b, app.options)
			}
		})
	}
}

func startAndStop(tb testing.TB, options fx.Option) {
	tb.Helper()
	app := fx.New(fx.NopLogger, fx.Supply(slog.New(slog.DiscardHandler)), options, fx.Invoke(func(struct {
		fx.In

		Altinn *http.Client `name:"altinn"`
	},
	) {
	}))
	if err := app.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	if err := app.Stop(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// appSettings is an application's file with a complete section.
func appSettings(tb testing.TB) provider.AppConfig {
	tb.Helper()
	file, err := json.Marshal(map[string]any{"MaskinportenSettings": map[string]any{
		"Environment": "test", "ClientId": clientID, "Scope": scope, "EncodedJwk": key().EncodedJWK(),
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return provider.AppConfig{FS: fstest.MapFS{"appsettings.json": {Data: file}}, Environ: func() []string { return nil }}
}

// Nobody is called before a client's first use, and then somebody is.
func TestBuildingTouchesNoNetwork(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	called := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = conn.Close()
			select {
			case called <- struct{}{}:
			default:
			}
		}
	}()
	defer listener.Close()

	s := settings()
	s.Environment, s.Authority = "", "http://"+listener.Addr().String()+"/"
	client, err := httpclient.New(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := httpclient.NewTokenSource(s); err != nil {
		t.Fatal(err)
	}
	startAndStop(t, fx.Options(
		fxmodule.Config(fxmodule.AppConfig(appSettings(t))),
		fxmodule.Module("altinn", fxmodule.EditSettings(func(edited *httpclient.MaskinportenSettings) { *edited = s })),
	))
	if n := calls.Load(); n != 0 {
		t.Errorf("building called Maskinporten %d times", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req := newRequest(t, ctx)
	go func() { _, _ = client.Do(req) }()
	select {
	case <-called:
	case <-ctx.Done():
		t.Error("the first request did not call Maskinporten: the test would have seen nothing")
	}
}
