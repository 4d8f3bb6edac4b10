package benchmarks

import (
	"context"
	"net/http"
	"testing"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/httptransport"
)

// openGoogle is cloud.google.com/go/auth with its own cache and defaults. The
// middleware is the barest of its transports: [httptransport.NewClient] would add
// telemetry.
func openGoogle(tb testing.TB, tokens http.RoundTripper) opened {
	tb.Helper()
	return openGoogleWith(tb, tokens, nil)
}

// openGoogleTuned refreshes in the last 15 % of a two-minute token's life. The
// default, 225 s before its end, is longer than such a token lives.
func openGoogleTuned(tb testing.TB, tokens http.RoundTripper) opened {
	tb.Helper()
	return openGoogleWith(tb, tokens, &auth.CachedTokenProviderOptions{ExpireEarly: life * 15 / 100})
}

func openGoogleWith(tb testing.TB, tokens http.RoundTripper, options *auth.CachedTokenProviderOptions) opened {
	tb.Helper()
	credentials := auth.NewCredentials(&auth.CredentialsOptions{
		TokenProvider: auth.NewCachedTokenProvider(googleProvider{tokens}, options),
	})
	return opened{
		transport: func(base http.RoundTripper) http.RoundTripper {
			client := &http.Client{Transport: base}
			if err := httptransport.AddAuthorizationMiddleware(client, credentials); err != nil {
				tb.Error(err)
			}
			return client.Transport
		},
		read: func(ctx context.Context) error {
			_, err := credentials.Token(ctx)
			return err
		},
	}
}

type googleProvider struct{ tokens http.RoundTripper }

func (p googleProvider) Token(ctx context.Context) (*auth.Token, error) {
	t, err := fetch(ctx, p.tokens)
	if err != nil {
		return nil, err
	}
	return &auth.Token{Value: t.value, Type: "Bearer", Expiry: t.expires}, nil
}
