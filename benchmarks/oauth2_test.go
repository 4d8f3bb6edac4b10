package benchmarks

import (
	"context"
	"net/http"
	"testing"

	"golang.org/x/oauth2"
)

// openOAuth2 is golang.org/x/oauth2 with the grant as its user's own source.
func openOAuth2(_ testing.TB, tokens http.RoundTripper) opened {
	source := oauth2.ReuseTokenSource(nil, oauth2Source(tokens))
	return opened{
		transport: func(base http.RoundTripper) http.RoundTripper { return &oauth2.Transport{Source: source, Base: base} },
		read: func(context.Context) error {
			_, err := source.Token()
			return err
		},
	}
}

func oauth2Source(tokens http.RoundTripper) oauth2.TokenSource {
	return oauth2Func(func() (*oauth2.Token, error) {
		t, err := fetch(context.Background(), tokens)
		if err != nil {
			return nil, err
		}
		return &oauth2.Token{AccessToken: t.value, TokenType: "Bearer", Expiry: t.expires}, nil
	})
}

type oauth2Func func() (*oauth2.Token, error)

func (f oauth2Func) Token() (*oauth2.Token, error) { return f() }
