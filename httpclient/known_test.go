package httpclient_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

// refuses makes a token endpoint that refuses with these words.
func refuses(code, words string) faulttest.Fault {
	return faulttest.Fault{Match: toToken, Status: 400, Body: fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, words)}
}

// What is known of the key, the scope and the request stands in the error.
func TestKnownFacts(t *testing.T) {
	t.Parallel()
	ends := epoch.Add(-time.Hour)
	jwk := func(member string, value any) map[string]any {
		return map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{member: value}))}
	}
	for name, c := range map[string]struct {
		changes     map[string]any
		code, words string
		want        string
	}{
		"the algorithm":                   {jwk("alg", "RS512"), "invalid_grant", "Invalid signature", "registered as key for-tests-only (RSA 2048, RS512)"},
		"the end of the registration":     {jwk("exp", ends.Unix()), "invalid_grant", "Expired key", "the registration of key for-tests-only (RSA 2048) ended on 1999-12-31;"},
		"an end that is to come":          {jwk("exp", epoch.Add(time.Hour).Unix()), "invalid_grant", "Expired key", "the registration of key for-tests-only (RSA 2048) ended;"},
		"an end that is not a number":     {jwk("exp", "soon"), "invalid_grant", "Expired key", "the registration of key for-tests-only (RSA 2048) ended;"},
		"an end of 0":                     {jwk("exp", 0), "invalid_grant", "Expired key", "the registration of key for-tests-only (RSA 2048) ended;"},
		"several scopes":                  {map[string]any{"Scope": "b:c a:b"}, "invalid_scope", "no", "check Scope: one of a:b, b:c is misspelt"},
		"a scope that may be a secret":    {map[string]any{"Scope": "Sommer-2026!CANARY"}, "invalid_scope", "Sommer-2026!CANARY", "check Scope: the scope, a text of 18 characters, is misspelt, or not registered on the client - " + tokenRequest + "400 invalid_scope: [redacted]"},
		"many scopes":                     {map[string]any{"Scope": strings.Repeat("a", 40) + ":" + strings.Repeat("b", 80) + " " + strings.Repeat("c", 40) + ":" + strings.Repeat("d", 80)}, "invalid_scope", "no", "one of " + strings.Repeat("a", 40) + ":" + strings.Repeat("b", 78) + "… is misspelt"},
		"a resource that may be a secret": {map[string]any{"Resource": "Sommer-2026!CANARY"}, "x", "Sommer-2026!CANARY", "400 x: [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := answered(t, c.changes, refuses(c.code, c.words)); !strings.Contains(message(err), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// The end of a secret is told as well, and which function asked for the details.
func TestKnownFactsOfRequests(t *testing.T) {
	t.Parallel()
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	srv := newDouble(t)
	srv.Faults.Add(refuses("invalid_grant", "Expired key"))
	_, err := sourceOf(t, srv, map[string]any{"EncodedJwk": "", "EncodedX509": certificateSetting(t, leaf, authorities)}).Token(t.Context())
	if want := "the registration of the certificate's key (RSA 2048) ended;"; !strings.Contains(message(err), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	srv.Faults.Add(refuses("invalid_grant", "Expired key"))
	s := settingsOf(t, srv, nil)
	s.Origin = func(string) httpclient.Origin { return httpclient.Origin{Expires: epoch} } // of the secret
	expired, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer expired.Close()
	if _, err := expired.Token(t.Context()); !strings.Contains(message(err), "the registration of key for-tests-only (RSA 2048) ended on 2000-01-01;") {
		t.Errorf("got %v, want the end that the secret has", err)
	}
	source := sourceOf(t, srv, nil)
	user := httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{OrgNo: "991825827"})
	consent := httpclient.ContextWithConsent(t.Context(), httpclient.Consent{ID: consentID, From: httpclient.NewSecret("991825827")})
	srv.Faults.Add(refuses("x", "MP-303"))
	if _, err := source.Token(user); !strings.Contains(message(err), "httpclient: check ContextWithSystemUser: the system user") {
		t.Errorf("got %v, want a hint to ContextWithSystemUser", err)
	}
	srv.Faults.Add(refuses("x", "MP-303"))
	if _, err := source.Token(consent); !strings.Contains(message(err), "httpclient: check ContextWithConsent: the system user") {
		t.Errorf("got %v, want a hint to ContextWithConsent", err)
	}
}

// A clock's difference is told, also if it was corrected for and is refused again.
func TestClockDifferenceIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead time.Duration
		words string
		want  string
	}{
		"behind":            {-200 * time.Second, "JWT is expired", "this machine's clock is 3m20s behind Maskinporten's: synchronise it - "},
		"ahead":             {200 * time.Second, "Issue time is after now", "this machine's clock is 3m20s ahead of Maskinporten's: synchronise it - "},
		"right":             {time.Second, "Issue time is after now", "this machine's clock is ahead of Maskinporten's: synchronise it - "},
		"right, and behind": {time.Second, "JWT is expired", "this machine's clock is behind Maskinporten's: synchronise it - "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				source, _ := instant(t, httpclient.WithLogger((&logs{}).logger(0)), httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
					header := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
					return body(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"`+c.words+`"}`, header), nil
				})), httpclient.WithClocks(func() time.Time { return time.Now().Add(c.ahead) }, func() time.Duration { return time.Since(start) }))
				defer source.Close()
				if _, err := source.Token(t.Context()); !strings.HasPrefix(message(err), "httpclient: "+c.want) || !errors.Is(err, httpclient.ErrClockSkew) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			})
		})
	}
}

// The scope that one caller asked for is not told to the callers of other tokens.
func TestScopeIsNotShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		body, _ := json.Marshal(map[string]string{"error": "invalid_scope", "error_description": "MP-200"})
		srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: http.StatusServiceUnavailable, Body: string(body)})
		source := sourceOf(t, srv, nil)
		defer source.Close()
		for i := range 3 { // temporary failures of three tokens
			_, err := source.Token(httpclient.ContextWithScope(t.Context(), fmt.Sprint("secret:scope", i)))
			if !strings.Contains(message(err), fmt.Sprintf("check Scope: secret:scope%d is misspelt", i)) && !strings.Contains(message(err), fmt.Sprintf("check ContextWithScope: secret:scope%d is misspelt", i)) {
				t.Errorf("its own caller got %v, want the scope", err)
			}
		}
		_, err := source.Token(t.Context())
		if !strings.Contains(message(err), "check ContextWithScope: a scope is misspelt") || strings.Contains(prints(err), "secret:scope") {
			t.Errorf("got %v, want an error without the others' scopes", err)
		}
	})
}

// A text is for a line of a log: under 250 characters in the median, and never over 450,
// even if a server says much.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	var lengths []int
	sources := from(map[string]string{
		"ClientId": "appsettings.Production.json", "Environment": "appsettings.Production.json", "Scope": "appsettings.json",
		"EncodedJwk": "secret MaskinportenSettings--EncodedJwk of https://example.vault.azure.net", "TokenExchangeEnvironment": "appsettings.json",
	})
	for _, words := range []string{
		"Client not found", "Unknown key identifier (kid) for client", "Invalid JWT claim aud", "MP-120", "Expired key", "JWT is expired", "Invalid signature",
		"Invalid scope", "MP-201", "Consumer has not been granted access", "MP-251", "MP-122", "MP-123", "consumer_org in claim", "MP-301", "MP-302", "MP-303", "no", strings.Repeat("long ", 300),
	} {
		for _, code := range []string{"invalid_grant", "invalid_client"} {
			srv := newDouble(t, builtIn)
			srv.Faults.Add(refuses(code, words))
			s := settingsOf(t, srv, nil)
			s.Origin = sources
			source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(srv.Transport()), httpclient.WithLogger((&logs{}).logger(0)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = source.Token(t.Context())
			source.Close()
			if n := len(message(err)); n > 450 {
				t.Errorf("got %d characters, want 450 at most: %v", n, err)
			}
			lengths = append(lengths, len(message(err)))
		}
	}
	for _, section := range []map[string]any{
		{"ClientId": ""},
		{"Environment": "tset"},
		{"Environment": ""},
		{"Scope": "a;b"},
		{"ConsumerOrgNo": "5"},
		{"Resource": "a b"},
		{"TokenExchangeEnvironment": "tt3"},
		{"EnterpriseUserName": "u"},
		{"CertificateStoreThumbprint": "t"},
		{"Authority": "https://i.example/"},
		{"Kid": "a b"},
		{"EncodedJwk": ""},
		{"EncodedJwk": "x"},
		{"EncodedJwk": "", "EncodedX509": "x"},
		{"EncodedJwk": "", "CertificatePkcs12Path": "no.p12"},
		{"EncodedJwk": "", "Jwk": "{"},
	} {
		whole := map[string]any{"Environment": "test", "ClientId": "id", "ExhangeToAltinnToken": true, "EncodedJwk": encoded(keyFile(t, "client.jwk.json"))}
		maps.Copy(whole, section)
		s := httpclient.MaskinportenSettings{Origin: sources}
		err := errors.Join(s.Parse(whole), s.Validate())
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: got %v, want one error", section, err)
		}
		lengths = append(lengths, len(message(err)))
	}
	slices.Sort(lengths)
	if median := lengths[len(lengths)/2]; median > 250 {
		t.Errorf("got a median of %d characters, want 250 at most: %v", median, lengths)
	}
}
