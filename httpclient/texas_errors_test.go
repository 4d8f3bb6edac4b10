package httpclient_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// What goes wrong at Texas, and behind it, has a cure that fits.
func TestTexasErrors(t *testing.T) {
	t.Parallel()
	const inSpec = "; the application's spec must list it under maskinporten.scopes.consumes, and a change takes up to 15 minutes"
	fault := func(status int, body string) func(*maskinportentest.Server, *maskinportentest.Texas) {
		return func(_ *maskinportentest.Server, texas *maskinportentest.Texas) {
			texas.Faults.Add(faulttest.Fault{Times: -1, Status: status, Body: body})
		}
	}
	upstream := func(f faulttest.Fault) func(*maskinportentest.Server, *maskinportentest.Texas) {
		return func(srv *maskinportentest.Server, _ *maskinportentest.Texas) {
			f.Match, f.Times = toToken, -1
			srv.Faults.Add(f)
		}
	}
	for name, c := range map[string]struct {
		prepare   func(*maskinportentest.Server, *maskinportentest.Texas)
		changes   map[string]any
		status    int
		temporary bool
		kind      error
		hint      string
	}{
		"not enabled":      {prepare: func(_ *maskinportentest.Server, texas *maskinportentest.Texas) { texas.DisableMaskinporten() }, status: 400, hint: "set maskinporten.enabled in the application's spec, and deploy it again"},
		"no such scope":    {changes: map[string]any{"Scope": "other:scope"}, status: 400, kind: httpclient.ErrScopeNotGranted, hint: "check Scope: other:scope is misspelt, or not registered on the client" + inSpec},
		"not granted":      {prepare: upstream(faulttest.Fault{Status: 403, Body: `{"error":"forbidden","error_description":"Consumer has not been granted access to the scope a"}`}), status: 403, kind: httpclient.ErrScopeNotGranted, hint: "check MASKINPORTEN_SCOPES: ask the API's owner to grant your organisation " + scope + inSpec},
		"a wrong resource": {changes: map[string]any{"Resource": "a"}, status: 400, hint: "check Resource and MASKINPORTEN_SCOPES: a value is malformed"},
		"unknown key": {prepare: func(srv *maskinportentest.Server, _ *maskinportentest.Texas) {
			srv.RemoveKey(srv.ClientID(), srv.Key().KeyID)
		}, status: 400, kind: httpclient.ErrUnknownKey, hint: "check the key that Texas holds: this key is not registered on the client; a new one takes up to 2 minutes to work"},
		"expired key": {prepare: func(srv *maskinportentest.Server, _ *maskinportentest.Texas) {
			srv.ExpireKey(srv.ClientID(), srv.Key().KeyID)
		}, status: 400, kind: httpclient.ErrExpiredKey, hint: "check the key that Texas holds: the registration of this key ended; register it again or make a new key"},
		"unknown client":   {prepare: upstream(faulttest.Fault{Status: 400, Body: `{"error":"invalid_client","error_description":"Client not found"}`}), status: 400, kind: httpclient.ErrUnknownClient, hint: "check the client id that Texas holds: it is misspelt, or the client belongs to another environment than the issuer that Texas asks"},
		"no Maskinporten":  {prepare: upstream(faulttest.Fault{Drop: true}), status: 500, temporary: true, hint: "wait: Texas does not reach Maskinporten; the request is tried again later"},
		"odd Maskinporten": {prepare: upstream(faulttest.Fault{Status: 200, Body: "<html>"}), status: 500, temporary: true, hint: "read Texas's log, which tells why it fails; the request is tried again later"},
		"another path":     {prepare: fault(404, ""), status: 404, hint: "check NAIS_TOKEN_ENDPOINT: Texas gives tokens at /api/v1/token"},
		"unavailable":      {prepare: fault(503, ""), status: 503, temporary: true, hint: "wait: the request is tried again later"},
		"something else":   {prepare: fault(200, "<html>"), status: 200, temporary: true, hint: "check NAIS_TOKEN_ENDPOINT and the proxy: a log-in page or proxy answers in its place"},
		"no token":         {prepare: fault(200, `{"token_type":"Bearer","expires_in":60}`), status: 200, temporary: true, hint: "check NAIS_TOKEN_ENDPOINT and the proxy: something else answers in the server's place"},
		"a redirect":       {prepare: fault(307, ""), status: 307, hint: "check NAIS_TOKEN_ENDPOINT: it leads to a redirect, which token requests do not follow"},
		"a broken link": {prepare: func(_ *maskinportentest.Server, texas *maskinportentest.Texas) {
			texas.Faults.Add(faulttest.Fault{Times: -1, Drop: true})
		}, temporary: true, hint: "try again later; if it stays so, a proxy or firewall on the way cuts the connection"},
		"a refusal, no more": {prepare: fault(400, `{"error":"invalid_request","error_description":"missing field target"}`), status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t)
				defer srv.Close()
				texas := maskinportentest.NewTexas(srv)
				defer texas.Close()
				if c.prepare != nil {
					c.prepare(srv, texas)
				}
				source := texasSource(t, texas, c.changes)
				defer source.Close()
				_, err := source.Token(t.Context())
				var failed *httpclient.TokenError
				if !errors.As(err, &failed) {
					t.Fatalf("got %v, want a TokenError", err)
				}
				if failed.Step != "token request" || failed.URL != texas.TokenURL() || failed.ClientID != srv.ClientID() {
					t.Errorf("got step %q, URL %q, client %q; want those of the request to Texas", failed.Step, failed.URL, failed.ClientID)
				}
				if failed.StatusCode != c.status || failed.Temporary != c.temporary || failed.Hint != c.hint {
					t.Errorf("got %d, temporary %t, hint %q; want %d, %t, %q", failed.StatusCode, failed.Temporary, failed.Hint, c.status, c.temporary, c.hint)
				}
				if c.kind != nil && !errors.Is(err, c.kind) {
					t.Errorf("got %v, want it to be %v", err, c.kind)
				}
				want := 1
				if c.temporary {
					want = 3
				}
				if got := texas.Stats().Requests; got != want {
					t.Errorf("got %d requests, want %d", got, want)
				}
			})
		})
	}
}

// A sidecar that is not there, which cannot be played without sockets.
func TestTexasIsNotThere(t *testing.T) {
	t.Parallel()
	texas := newTexas(t, newDouble(t))
	source := texasSource(t, texas, nil)
	texas.Close()
	_, err := source.Token(t.Context())
	var failed *httpclient.TokenError
	const want = "check NAIS_TOKEN_ENDPOINT, and that the application's spec has maskinporten.enabled and the annotation texas.nais.io/enabled: Texas is not there"
	if !errors.As(err, &failed) || failed.Hint != want || !errors.Is(err, httpclient.ErrTemporary) {
		t.Errorf("got %v, want a temporary error with %q", err, want)
	}
}

// A warning that an API refuses tokens names what Texas knows as Texas's.
func TestTexasRefusedByAnAPI(t *testing.T) {
	t.Parallel()
	var out logs
	source := texasSource(t, newTexas(t, newDouble(t)), nil, httpclient.WithLogger(out.logger(0)),
		httpclient.WithBaseTransport(roundTripper(func(*http.Request) (*http.Response, error) { return answer(http.StatusForbidden, nil), nil })))
	for range 2 {
		get(t, source.Client(), "https://api.example/")
	}
	httpclient.Flush(source)
	want := "check ExhangeToAltinnToken, the issuer that Texas asks and MASKINPORTEN_SCOPES: the API may want an Altinn token, " +
		"another environment's, or another scope than " + scope + " - api.example refuses fresh tokens: 403 Forbidden"
	if !strings.Contains(out.String(), want) {
		t.Errorf("got this, want %q:\n%s", want, out.String())
	}
}

// A failure is remembered, and comes back without a request.
func TestTexasFailureIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		texas := maskinportentest.NewTexas(srv)
		defer texas.Close()
		texas.DisableMaskinporten()
		source := texasSource(t, texas, nil)
		defer source.Close()
		for i, want := range []int{1, 1, 2} {
			if _, err := source.Token(t.Context()); err == nil {
				t.Error("got a token, want an error")
			}
			if got := texas.Stats().Requests; got != want {
				t.Errorf("call %d: got %d requests, want %d", i+1, got, want)
			}
			if i == 1 {
				pass(time.Second)
			}
		}
	})
}

// A failure that concerns every token of the client holds back the others.
func TestTexasClientWideFailure(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*maskinportentest.Texas){
		"not enabled":  func(texas *maskinportentest.Texas) { texas.DisableMaskinporten() },
		"another path": func(texas *maskinportentest.Texas) { texas.Faults.Add(faulttest.Fault{Times: -1, Status: 404}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texas := newTexas(t, newDouble(t))
			prepare(texas)
			source := texasSource(t, texas, nil)
			for _, resource := range []string{"", "https://a.example/"} {
				if _, err := source.Token(httpclient.ContextWithResource(t.Context(), resource)); err == nil {
					t.Error("got a token, want an error")
				}
			}
			if got := texas.Stats().Requests; got != 1 {
				t.Errorf("got %d requests, want 1", got)
			}
		})
	}
}

// tokensSeen notes the tokens that a server gives.
type tokensSeen struct {
	base http.RoundTripper
	mu   sync.Mutex
	all  []string
}

func (s *tokensSeen) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	_, token, found := strings.Cut(string(raw), `"access_token":"`)
	if !found {
		token = string(raw) + `"`
	}
	token, _, _ = strings.Cut(token, `"`)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, token)
	return resp, err
}

// Nothing that is printed holds a token or a person.
func TestTexasPrintsNoSecret(t *testing.T) {
	t.Parallel()
	const person = "01017012345"
	srv := newDouble(t)
	texas := newTexas(t, srv)
	seen := &tokensSeen{base: texas.Transport()}
	var out logs
	var recorded recorder
	changes := exchanged(srv)
	changes["EnableDebugLog"] = true
	source := texasSource(t, texas, changes, httpclient.WithLogger(out.logger(-10)), httpclient.WithTokenTransport(seen),
		httpclient.WithMeterProvider(recorded.MeterProvider()), httpclient.WithTracerProvider(tracerProvider{recorder: &recorded}))
	get(t, source.Client(), srv.PlatformURL()+"/api")
	srv.RevokeAll()
	get(t, source.Client(), srv.PlatformURL()+"/api")
	if len(seen.all) != 4 {
		t.Fatalf("got %d answers, want 4", len(seen.all))
	}
	if gauges := recorded.observe(); len(gauges) != 1 {
		t.Errorf("got gauges %v, want the token's only: Texas holds the key", gauges)
	}

	texas.Faults.Add(faulttest.Fault{Status: 400, Body: `{"error":"invalid_request","error_description":"bad ` + person + ` in authorization_details"}`})
	ctx := httpclient.ContextWithConsent(t.Context(), httpclient.Consent{ID: consentID, From: httpclient.NewSecret(person)})
	_, err := source.Token(ctx)
	if !strings.Contains(message(err), "bad [redacted] in") {
		t.Errorf("got %v, want the server's words without the person", err)
	}
	texas.Faults.Add(faulttest.Fault{Status: 400, Body: "CANARY"}, faulttest.Fault{Status: 200, Body: `{"access_token":"CANARY"}`, Times: 3})
	_, err2 := source.Token(httpclient.ContextWithResource(t.Context(), "https://a.example/"))
	_, err3 := source.Token(httpclient.ContextWithResource(t.Context(), "https://b.example/"))
	if err2 == nil || err3 == nil {
		t.Errorf("got errors %v and %v, want both", err2, err3)
	}

	httpclient.Flush(source)
	settings := texasSettings(t, variables(texas, map[string]string{"MASKINPORTEN_CLIENT_JWK": srv.EncodedJWK()}), changes)
	printed := out.String() + strings.Join(recorded.lines, "\n") + prints(source) + prints(err) + prints(err2) + prints(err3) +
		prints(settings) + prints(texas) + strings.Join(texas.Refusals(), "\n")
	for _, secret := range append(seen.all[:4:4], person, "CANARY", srv.EncodedJWK(), srv.Key().EncodedJWK()[:60]) {
		if i := strings.Index(printed, secret); i >= 0 {
			t.Errorf("got a secret of %d characters after %q, want it hidden", len(secret), printed[max(0, i-200):i])
		}
	}
	for _, step := range []string{"asking Texas for a Maskinporten token", "skip_cache=false", "skip_cache=true", "got a Maskinporten token", "exchanging it for an Altinn token"} {
		if !strings.Contains(out.String(), step) {
			t.Errorf("got no step %q in:\n%s", step, out.String())
		}
	}
}
