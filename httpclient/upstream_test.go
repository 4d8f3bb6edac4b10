package httpclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	noopmetric "go.opentelemetry.io/otel/metric/noop"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

// A token has the scopes that were granted, which may be fewer than were asked for.
func TestGrantedScopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answered string
		want     []string
	}{
		"as asked, left out": {"", []string{"a:one", "b:two"}},
		"fewer":              {`,"scope":"b:two"`, []string{"b:two"}},
		"in another order":   {`,"scope":"b:two  a:one"`, []string{"a:one", "b:two"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, _ := instant(t, httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
				return body(http.StatusOK, `{"access_token":"t","expires_in":60`+c.answered+`}`, nil), nil
			})))
			token, err := source.Token(httpclient.ContextWithScope(t.Context(), "b:two", "a:one"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, token.Scopes()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A clock is corrected by up to an hour, at any refusal of the grant, whatever its
// words; beyond that the error says so.
func TestClockSkewIsBounded(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for name, c := range map[string]struct {
		ahead   time.Duration // this machine's clock
		refusal string
		tokens  int // token requests
		err     string
	}{
		"59 minutes ahead":            {59 * time.Minute, "invalid_grant", 2, ""},
		"59 minutes behind":           {-59 * time.Minute, "invalid_grant", 2, ""},
		"61 minutes ahead":            {61 * time.Minute, "invalid_grant", 1, "synchronise this machine's clock: a difference of up to 1h0m0s is corrected for - token request of client id at https://test.maskinporten.no/token: this machine's clock is 1h1m0s ahead of Maskinporten's"},
		"a day behind":                {-24 * hour, "invalid_grant", 1, "synchronise this machine's clock: a difference of up to 1h0m0s is corrected for - token request of client id at https://test.maskinporten.no/token: this machine's clock is 24h0m0s behind Maskinporten's"},
		"a second ahead":              {time.Second, "invalid_grant", 1, "400 invalid_grant: no"},
		"ahead, but the scope is bad": {30 * time.Minute, "invalid_scope", 1, "400 invalid_scope: no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start, asked := time.Now(), 0
				transport := roundTripper(func(r *http.Request) (*http.Response, error) {
					asked++
					header := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
					issued := time.Unix(int64(claimsOf(t, r)["iat"].(float64)), 0)
					if time.Since(issued).Abs() <= time.Second && asked > 1 {
						return tokenAnswer("t", 60), nil
					}
					return body(http.StatusBadRequest, `{"error":"`+c.refusal+`","error_description":"no"}`, header), nil
				})
				source, _ := instant(t, httpclient.WithTokenTransport(transport), httpclient.WithLogger((&logs{}).logger(0)), httpclient.WithClocks(
					func() time.Time { return time.Now().Add(c.ahead) }, func() time.Duration { return time.Since(start) }))
				defer source.Close()
				_, err := source.Token(t.Context())
				if !strings.Contains(message(err), c.err) || (err == nil) != (c.err == "") || asked != c.tokens {
					t.Errorf("got %v after %d token requests, want %q after %d", err, asked, c.err, c.tokens)
				}
				if strings.Contains(c.err, "this machine's clock") != errors.Is(err, httpclient.ErrClockSkew) {
					t.Errorf("got %v, want ErrClockSkew if it is about the clock", err)
				}
			})
		})
	}
}

// Metadata is looked for in both places; the assertion's aud is the issuer as the
// metadata spells it.
func TestMetadataPlaces(t *testing.T) {
	t.Parallel()
	const oauth, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		issuer, spelt string // the setting, and the metadata's
		at            string
		asked         []string
		aud           string
	}{
		"first place":              {"https://sky.example", "https://sky.example/", oauth, []string{oauth}, "https://sky.example/"},
		"second place":             {"https://sky.example/", "https://sky.example/", openID, []string{oauth, openID}, "https://sky.example/"},
		"without a trailing slash": {"https://sky.example/", "https://sky.example", openID, []string{oauth, openID}, "https://sky.example"},
		"nowhere":                  {"https://sky.example", "", "-", []string{oauth, openID}, "https://sky.example/"},
		"below a path":             {"https://sky.example/a", "https://sky.example/a", openID + "/a", []string{"/a" + oauth, oauth + "/a", "/a" + openID, openID + "/a"}, "https://sky.example/a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			var aud any
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					aud = claimsOf(t, r)["aud"]
					return tokenAnswer("t", 60), nil
				}
				asked = append(asked, r.URL.Path)
				if r.URL.Path != c.at {
					return answer(http.StatusNotFound, nil), nil
				}
				return body(http.StatusOK, fmt.Sprintf(`{"issuer":%q,"token_endpoint":"https://sky.example/token"}`, c.spelt), nil), nil
			})
			s := httpclient.MaskinportenSettings{Environment: c.issuer, ClientID: "id", Scope: "s"}
			source, err := httpclient.NewTokenSource(s, httpclient.WithKeySource(keys(signingKey(t))), httpclient.WithTokenTransport(transport))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" || aud != c.aud {
				t.Errorf("got aud %v, want %s; places:\n%s", aud, c.aud, diff)
			}
		})
	}
}

// Metadata may name a plain http endpoint only if the issuer itself is one on this
// machine.
func TestMetadataOverPlainHTTP(t *testing.T) {
	t.Parallel()
	const refused = "its token_endpoint is not an https URL without a query"
	for name, c := range map[string]struct{ issuer, endpoint, err string }{
		"both on this machine":             {"http://127.0.0.1:1/", "http://127.0.0.1:1/token", ""},
		"the issuer on this machine":       {"http://localhost:1/", "https://elsewhere.example/token", ""},
		"an https issuer on this machine":  {"https://127.0.0.1:1/", "http://127.0.0.1:1/token", refused},
		"an https issuer elsewhere":        {"https://sky.example/", "http://127.0.0.1:1/token", refused},
		"plain http elsewhere":             {"http://127.0.0.1:1/", "http://sky.example/token", refused},
		"an issuer in capitals, elsewhere": {"HTTPS://sky.example/", "http://127.0.0.1:1/token", refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return tokenAnswer("t", 60), nil
				}
				return body(http.StatusOK, fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q}`, c.issuer, c.endpoint), nil), nil
			})
			s := httpclient.MaskinportenSettings{Environment: c.issuer, ClientID: "id", Scope: "s"}
			source, err := httpclient.NewTokenSource(s, httpclient.WithKeySource(keys(signingKey(t))), httpclient.WithTokenTransport(transport))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			_, err = source.Token(t.Context())
			if !strings.Contains(message(err), c.err) || (err == nil) != (c.err == "") {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

// An Altinn token that is not a JWT lives as long as Altinn documents, less the age of
// the answer; one warning says so.
func TestOpaqueAltinnToken(t *testing.T) {
	t.Parallel()
	const opaque = "opaque-0123456789.abc_~+/=="
	for name, c := range map[string]struct {
		token string
		age   time.Duration // of the answer; -1: it has no Date
		life  time.Duration
	}{
		"fresh":                   {opaque, 0, 30 * time.Minute},
		"without a Date":          {opaque, -1, 30 * time.Minute},
		"10 minutes old":          {opaque, 10 * time.Minute, 20 * time.Minute},
		"nearly too old":          {opaque, 29 * time.Minute, time.Minute},
		"from the future":         {opaque, -5 * time.Minute, 30 * time.Minute},
		"of three parts":          {"0123456789.not/base64url.0123456789", 0, 30 * time.Minute},
		"of three parts, no JSON": {"0123456789." + encodedURL("no JSON") + ".0123456789", 0, 30 * time.Minute},
		"of 16 characters":        {"0123456789abcdef", 0, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				var out logs
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, httpclient.WithLogger(out.logger(0)))
				defer source.Close()
				for range 2 {
					header := http.Header{"Date": {time.Now().Add(-c.age).UTC().Format(http.TimeFormat)}}
					if c.age == -1 {
						header["Date"] = nil
					}
					srv.Faults.Add(faulttest.Fault{Match: toExchange, Status: http.StatusOK, Body: c.token, Header: header})
					token, err := source.Token(t.Context())
					if err != nil || token.Lifetime() != c.life || !token.IsAltinn() || token.AccessToken() != c.token {
						t.Errorf("got %v living %v, %v; want a life of %v", token, token.Lifetime(), err, c.life)
					}
					pass(c.life)
				}
				if got := strings.Count(out.String(), "the exchange gave a token that is not a JWT"); got != 1 {
					t.Errorf("got %d warnings, want 1:\n%s", got, out.String())
				}
			})
		})
	}
}

// A remembered failure that concerns the whole client tells the caller of another
// token nothing of the request that failed.
func TestSharedErrorsTellNothingOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		srv.Faults.Add(faulttest.Fault{
			Match: toToken, Times: -1, Status: http.StatusBadRequest,
			Body: `{"error":"invalid_client","error_description":"MP-100: Client not found. consumer 200000001, scope secret:scope, person 01017012345","error_uri":"https://e/200000001"}`,
		})
		source := sourceOf(t, srv, nil)
		defer source.Close()
		ctx := httpclient.ContextWithScope(customer(t, 200_000_001), "secret:scope")
		_, first := source.Token(ctx)
		if !strings.Contains(message(first), "200000001") || !errors.Is(first, httpclient.ErrUnknownClient) {
			t.Errorf("its own caller got %v, want the server's words", first)
		}
		_, other := source.Token(customer(t, 200_000_002))
		const want = "httpclient: check ClientId: it is misspelt, or the client belongs to another environment than Environment - " + tokenRequest + "400 invalid_client"
		if message(other) != want || !errors.Is(other, httpclient.ErrUnknownClient) {
			t.Errorf("another caller got %v, want %s", other, want)
		}
		for _, secret := range []string{"200000001", "secret:scope", "01017012345"} {
			if strings.Contains(prints(other), secret) {
				t.Errorf("got %q in another caller's error, want it hidden", secret)
			}
		}
		if got := srv.Stats().TokenRequests; got != 1 {
			t.Errorf("got %d token requests, want 1", got)
		}
	})
}

// New makes no client that only Close could end.
func TestNewRefusesWhatNeedsClose(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	client, err := httpclient.New(settingsOf(t, srv, nil), httpclient.WithMeterProvider(noopmetric.NewMeterProvider()))
	if client != nil || !strings.Contains(message(err), "WithMeterProvider") || !strings.Contains(message(err), "NewTokenSource") {
		t.Errorf("got %v, %v; want an error that names WithMeterProvider and NewTokenSource", client, err)
	}
}
