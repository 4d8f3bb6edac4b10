package httpclient_test

import (
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// secretsSeen notes every secret that goes over the wire.
type secretsSeen struct {
	base http.RoundTripper
	mu   sync.Mutex
	all  []string
}

func (s *secretsSeen) RoundTrip(r *http.Request) (*http.Response, error) {
	clone := r.Clone(r.Context())
	s.mu.Lock()
	if r.Method == http.MethodPost && r.GetBody != nil {
		body, _ := r.GetBody()
		form := make([]byte, r.ContentLength)
		_, _ = body.Read(form)
		_, assertion, _ := strings.Cut(string(form), "assertion=")
		assertion, _, _ = strings.Cut(assertion, "&")
		s.all = append(s.all, assertion, assertion[strings.LastIndex(assertion, ".")+1:])
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		s.all = append(s.all, bearer)
	}
	s.mu.Unlock()
	return s.base.RoundTrip(clone)
}

// Nothing that is printed, at any level, by any verb, holds a secret.
func TestNothingPrintedIsSecret(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	seen := &secretsSeen{base: srv.Transport()}
	var out logs
	source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true, "EnableDebugLog": true},
		httpclient.WithLogger(out.logger(-10)), httpclient.WithTokenTransport(seen), httpclient.WithBaseTransport(seen))
	client := source.Client()
	get(t, client, srv.PlatformURL()+"/api")
	srv.RevokeAll()
	get(t, client, srv.PlatformURL()+"/api")
	srv.RevokeAll()
	get(t, client, srv.PlatformURL()+"/api") // rejected again, too soon for another token
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	httpclient.Flush(source)
	type holder struct {
		source *httpclient.TokenSource
		token  *httpclient.Token
		client *http.Client
		rt     http.RoundTripper
	}
	printed := out.String() + prints(source) + prints(token) + prints(client) + prints(client.Transport) +
		prints(holder{source, token, client, client.Transport}) + prints(struct{ Token *httpclient.Token }{token}) + prints(*client)
	secrets := append([]string{token.AccessToken()}, seen.all...)
	secrets = append(secrets, srv.EncodedJWK(), member(t, keyFile(t, "client.jwk.json"), "d").(string),
		member(t, keyFile(t, "client.jwk.json"), "p").(string))
	if len(seen.all) < 8 {
		t.Fatalf("got %d secrets, want at least 8", len(seen.all))
	}
	for _, secret := range secrets {
		if len(secret) < 20 {
			t.Fatalf("got a secret of %d characters, want at least 20", len(secret))
		}
		if strings.Contains(printed, secret) {
			i := strings.Index(printed, secret)
			t.Errorf("got a secret of %d characters after %q, want it hidden", len(secret), printed[max(0, i-300):i])
		}
	}
	for _, step := range []string{
		"asking for a Maskinporten token", "got a Maskinporten token", "exchanging it for an Altinn token", "got an Altinn token",
		"client_id=" + srv.ClientID(), "for-tests-only", scope, "the API rejected the token, and there is no newer one", `error="httpclient: the token was replaced a moment ago"`,
	} {
		if !strings.Contains(out.String(), step) {
			t.Errorf("got no step, want %q in:\n%s", step, out.String())
		}
	}
	if strings.Contains(out.String(), "level=DEBUG") {
		t.Error("got steps at level Debug, want Info by EnableDebugLog")
	}
}

// Every secret-bearing setting set, every kind of error provoked, everything
// searched.
func TestNoErrorHoldsASecret(t *testing.T) {
	t.Parallel()
	// Valid in the bubble too, whose clock begins in 2000.
	leaf, authorities := enterprise(t, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(time.Hour))
	const password = "CANARY-password"
	file := filepath.Join(t.TempDir(), "client.p12")
	if err := os.WriteFile(file, archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, password), 0o600); err != nil {
		t.Fatal(err)
	}
	jwk := keyFile(t, "client.jwk.json")
	holders := map[string]map[string]any{
		"EncodedJwk":  {"EncodedJwk": encoded(jwk)},
		"Jwk":         {"EncodedJwk": "", "Jwk": jwk},
		"EncodedX509": {"EncodedJwk": "", "EncodedX509": certificateSetting(t, leaf, authorities)},
		"PKCS#12":     {"EncodedJwk": "", "CertificatePkcs12Path": file, "CertificatePkcs12Password": password},
	}
	const person, giver = "01017012345", "02029054321"
	enterpriseUser := base64.StdEncoding.EncodeToString([]byte("CANARY-user:CANARY-secret"))
	faults := map[string]faulttest.Fault{
		"none":              {Match: func(*http.Request) bool { return false }},
		"refused":           {Match: toToken, Status: 400, Body: `{"error":"invalid_grant","error_description":"CANARY is the server's own word"}`, Times: -1},
		"echoes":            {Match: toToken, Status: 400, Body: `{"error":"invalid_request","error_description":"MP-011 Invalid parameter value pid: 01017012345, from: 02029054321"}`, Times: -1},
		"exchange echoes":   {Match: toExchange, Status: 400, Body: `{"error":"x","error_description":"01017012345"}`, Times: -1},
		"echoes the header": {Match: toExchange, Status: 400, Body: `{"error":"x","error_description":"X-Altinn-EnterpriseUser-Authentication: ` + enterpriseUser + `"}`, Times: -1},
		"echoes the name":   {Match: toExchange, Status: 400, Body: `{"error":"x","error_description":"there is no user CANARY-user"}`, Times: -1},
		"echoes the user":   {Match: toExchange, Status: 400, Body: `{"error":"CANARY-secret","error_description":"CANARY-user:CANARY-secret"}`, Times: -1},
		"not JSON":          {Match: toToken, Status: 200, Body: "<html>CANARY", Times: -1},
		"no token":          {Match: toToken, Status: 200, Body: `{"access_token":"CANARY"}`, Times: -1},
		"exchange fails":    {Match: toExchange, Status: 200, Body: "CANARY", Times: -1},
		"exchange 401":      {Match: toExchange, Status: 401, Body: "CANARY", Times: -1},
		"dropped":           {Drop: true, Times: -1},
	}
	for holder, changes := range holders {
		for name, fault := range faults {
			t.Run(holder+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := newPipe(t, builtIn, maskinportentest.WithClient(maskinportentest.Client{Roots: authorities[:1], OrgNo: "991825827"}))
					defer srv.Close()
					srv.Faults.Add(fault)
					section := srv.Section()
					maps.Copy(section, changes)
					maps.Copy(section, map[string]any{
						"ExhangeToAltinnToken": true, "EnableDebugLog": true, "EnterpriseUserName": "CANARY-user", "EnterpriseUserPassword": "CANARY-secret",
					})
					settings, err := httpclient.ParseSettings(section)
					if err != nil {
						t.Fatal(err)
					}
					seen := &secretsSeen{base: srv.Transport()}
					var out logs
					var recorded recorder
					source, err := httpclient.NewTokenSource(settings, httpclient.WithLogger(out.logger(-10)),
						httpclient.WithTokenTransport(seen), httpclient.WithBaseTransport(seen),
						httpclient.WithMeterProvider(recorded.MeterProvider()), httpclient.WithTracerProvider(tracerProvider{recorder: &recorded}))
					var printed string
					if err == nil {
						defer source.Close()
						ctx := httpclient.ContextWithConsent(httpclient.ContextWithPerson(t.Context(), httpclient.NewSecret(person)), httpclient.Consent{ID: consentID, From: httpclient.NewSecret(giver)})
						printed += prints(httpclient.Consent{ID: consentID, From: httpclient.NewSecret(giver)})
						for range 2 {
							req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.PlatformURL()+"/api", nil)
							_, err := source.Client().Do(req)
							printed += prints(err)
							pass(time.Minute)
						}
						client := source.Client()
						printed += prints(source) + prints(client) + prints(client.Transport)
					}
					if len(seen.all) == 0 {
						t.Errorf("got %v before anything was sent, want a request", err)
					}
					printed += strings.Join(recorded.lines, "\n") + prints(err) + prints(settings) + prints(&settings) + prints(httpclient.Warnings(settings)) + out.String()
					secrets := append([]string{password, "CANARY-secret", enterpriseUser, person, giver, encoded(jwk), member(t, jwk, "d").(string), member(t, jwk, "q").(string)}, seen.all...)
					if name != "refused" {
						secrets = append(secrets, "CANARY")
					}
					for _, secret := range secrets {
						if i := strings.Index(printed, secret); i >= 0 {
							t.Errorf("got a secret of %d characters after %q, want it hidden", len(secret), printed[max(0, i-200):i])
						}
					}
				})
			})
		}
	}
}

func TestStepsAreDebugUnlessEnabled(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	var out logs
	if _, err := sourceOf(t, srv, lasting(t), httpclient.WithLogger(out.logger(-10))).Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Contains(s, "level=INFO") || !strings.Contains(s, "level=DEBUG") {
		t.Errorf("got other levels than Debug, want only that:\n%s", s)
	}
}

func TestTokenErrorText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	e := &httpclient.TokenError{
		Step: "token request", URL: "https://i.example/token", ClientID: "id", StatusCode: 400, Code: "invalid_scope", Description: "MP-250 no",
		Hint: "check Scope", Err: httpclient.ErrScopeNotGranted, Since: at, RetryAt: at.Add(time.Second),
	}
	const want = "httpclient: check Scope - token request of client id at https://i.example/token: 400 invalid_scope: MP-250 no " +
		"(failing since 10:00:00, next try at 10:00:01 UTC)"
	if e.Error() != want || !errors.Is(e, httpclient.ErrScopeNotGranted) {
		t.Errorf("got %s, want %s", e, want)
	}
	bare := &httpclient.TokenError{Step: "token exchange", URL: "https://p.example", StatusCode: 503, Temporary: true, Err: httpclient.ErrUnknownKey}
	if got := bare.Error(); got != "httpclient: token exchange at https://p.example: 503 Service Unavailable" || !errors.Is(bare, httpclient.ErrTemporary) {
		t.Errorf("got %s, want a temporary failure without details", got)
	}
}

// An exchange that echoes the token it was sent is not quoted with it.
func TestEchoedTokenIsRedacted(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	var sent string
	source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		if !toExchange(r) {
			return srv.Transport().RoundTrip(r)
		}
		sent = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		resp := answer(http.StatusBadRequest, nil)
		resp.Body = io.NopCloser(strings.NewReader(`{"error":"x","error_description":"bad token ` + sent + `"}`))
		return resp, nil
	})))
	_, err := source.Token(t.Context())
	if sent == "" || strings.Contains(prints(err), sent) || !strings.Contains(message(err), "bad token [redacted]") {
		t.Errorf("got %v, want the token redacted", err)
	}
}
