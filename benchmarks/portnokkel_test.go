package benchmarks

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

func settings() httpclient.MaskinportenSettings {
	return httpclient.MaskinportenSettings{
		Environment: "test", ClientID: clientID, Scope: scope, EncodedJWK: httpclient.NewSecret(key().EncodedJWK()),
	}
}

func newSource(tb testing.TB, tokens http.RoundTripper, opts ...httpclient.Option) *httpclient.TokenSource {
	tb.Helper()
	opts = append([]httpclient.Option{
		httpclient.WithTokenTransport(tokens),
		httpclient.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	source, err := httpclient.NewTokenSource(settings(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(source.Close)
	return source
}

func openPortnokkel(tb testing.TB, tokens http.RoundTripper) opened {
	tb.Helper()
	source := newSource(tb, tokens)
	return opened{
		transport: source.Transport,
		read: func(ctx context.Context) error {
			_, err := source.Token(ctx)
			return err
		},
	}
}
