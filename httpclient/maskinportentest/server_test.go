package maskinportentest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.get(w.Issuer()+".well-known/oauth-authorization-server", "")
	want := map[string]any{
		"issuer":                                w.Issuer(),
		"token_endpoint":                        w.Issuer() + "token",
		"jwks_uri":                              w.Issuer() + "jwk",
		"grant_types_supported":                 []any{grant},
		"token_endpoint_auth_methods_supported": []any{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []any{"RS256", "RS384", "RS512"},
		"authorization_details_types_supported":            []any{"urn:altinn:consent", "urn:altinn:systemuser"},
	}
	if diff := cmp.Diff(want, got.json); diff != "" {
		t.Error(diff)
	}
	if jwks := w.get(got.json["jwks_uri"].(string), ""); jwks.raw != "{\"keys\":[]}\n" {
		t.Errorf("%d %s", jwks.status, jwks.raw)
	}
	post := w.do(http.NewRequestWithContext(t.Context(), http.MethodPost, w.Issuer()+".well-known/oauth-authorization-server", http.NoBody))
	if post.status != http.StatusMethodNotAllowed || post.header.Get("Allow") != "GET" {
		t.Errorf("%d %v", post.status, post.header)
	}
	if missing := w.get(w.Issuer()+"missing", ""); missing.status != http.StatusNotFound {
		t.Errorf("%d for a path that is not there", missing.status)
	}
	if diff := cmp.Diff(maskinportentest.Stats{Metadata: 2, Refused: 1}, w.Stats()); diff != "" {
		t.Error(diff)
	}
}

func TestSection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string]any{
		"Environment": w.Issuer(), "ClientId": w.ClientID(), "Scope": scope,
		"EncodedJwk": key().EncodedJWK(), "TokenExchangeEnvironment": w.PlatformURL(),
	}
	first := w.Section()
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	first["Scope"] = "changed"
	if diff := cmp.Diff(want, w.Section()); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(w.Issuer(), "https://127.0.0.1:") || w.Issuer() != w.PlatformURL()+"/" {
		t.Errorf("issuer %s, platform %s", w.Issuer(), w.PlatformURL())
	}
}

func TestGeneratedKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, maskinportentest.WithKey(maskinportentest.Key{}))
	k, err := maskinportentest.ParseKey(w.EncodedJWK())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(k.KeyID, "tests") {
		t.Errorf("kid %q does not say what it is for", k.KeyID)
	}
	h := header()
	h["kid"] = k.KeyID
	if got := w.post(sign(t, k, h, w.claims())); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		maskinportentest.WithIssuer("https://ver2.maskinporten.no"),
		maskinportentest.WithPlatform("https://platform.tt02.altinn.no/"),
		maskinportentest.WithTokenLifetime(90*time.Second+time.Millisecond),
	)
	if w.Issuer() != "https://ver2.maskinporten.no/" || w.PlatformURL() != "https://platform.tt02.altinn.no" {
		t.Fatalf("issuer %s, platform %s", w.Issuer(), w.PlatformURL())
	}
	got := w.post(sign(t, key(), header(), w.claims()))
	if got.json["expires_in"] != 90.0 {
		t.Errorf("expires_in %v", got.json["expires_in"])
	}
	token := got.json["access_token"].(string)
	if got := w.get(w.exchangeURL(), token); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := w.get(strings.Replace(w.exchangeURL(), "platform.tt02.altinn.no", "ver2.maskinporten.no", 1), token); got.status != http.StatusNotFound {
		t.Errorf("the exchange answers at Maskinporten: %d", got.status)
	}
	if got := w.get("https://platform.tt02.altinn.no/.well-known/oauth-authorization-server", ""); got.status != http.StatusNotFound {
		t.Errorf("Maskinporten's metadata at the platform: %d", got.status)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://maskinporten.no/", http.NoBody)
	if resp, err := w.client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("another host was reached")
	}
}

func TestMalformedIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, maskinportentest.WithIssuer("https://%zz"))
	if w.Issuer() != "https://%zz/" {
		t.Errorf("issuer %s", w.Issuer())
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		maskinportentest.WithClient(maskinportentest.Client{ID: "first", Scopes: []string{"a", "b"}, Keys: []maskinportentest.Key{other()}}),
		maskinportentest.WithClient(maskinportentest.Client{ID: "second", Scopes: []string{"c"}, Keys: []maskinportentest.Key{key()}}),
	)
	if w.ClientID() != "first" || w.EncodedJWK() != other().EncodedJWK() || w.Section()["Scope"] != "a b" {
		t.Errorf("the default client is %s", w.ClientID())
	}
	w.token(set("iss", "second"), set("scope", "c"))
	if got := w.post(sign(t, key(), header(), w.claims(set("scope", "a")))); !strings.Contains(got.raw, "Unknown key identifier") {
		t.Errorf("another client's key was accepted: %d %s", got.status, got.raw)
	}
	w.AddClient(maskinportentest.Client{ID: "second", Scopes: []string{"d"}, Keys: []maskinportentest.Key{key()}})
	if got := w.post(sign(t, key(), header(), w.claims(set("iss", "second"), set("scope", "c")))); !strings.Contains(got.raw, "invalid_scope") {
		t.Errorf("the old registration is still there: %d %s", got.status, got.raw)
	}
}

// What the caller does with its slices does not reach the server, nor the
// other way round.
func TestClientsAreCopied(t *testing.T) {
	t.Parallel()
	c := maskinportentest.Client{Scopes: []string{scope}, Keys: []maskinportentest.Key{key()}}
	one := newWorld(t, maskinportentest.WithClient(c))
	two := newWorld(t, maskinportentest.WithClient(c))
	one.ExpireKey(one.ClientID(), kid)
	one.RemoveKey(one.ClientID(), kid)
	c.Scopes[0] = "changed"
	two.token()
}

func TestRotationWhileInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
				w.AddKey(w.ClientID(), other())
				w.AddKey(w.ClientID(), key())
				w.ExpireKey(w.ClientID(), other().KeyID)
				w.RemoveKey(w.ClientID(), other().KeyID)
			}
		}
	}()
	for range 50 {
		w.token()
	}
	close(done)
	<-stopped
}

func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Handle("GET /flush", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if rc := http.NewResponseController(rw); rc.Flush() != nil || rc.SetReadDeadline(time.Time{}) != nil {
			t.Error("the response controller does not reach the connection")
		}
	}))
	w.Handle("GET /silent", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	bearer := w.token()
	want := epoch.Format(http.TimeFormat)
	base := w.PlatformURL()
	w.Faults.Add(faulttest.Fault{Match: func(r *http.Request) bool { return r.URL.Path == "/fault" }, Status: http.StatusServiceUnavailable})
	for _, path := range []string{"/fault", "/missing", "/flush", "/silent", "/token"} {
		if got := w.get(base+path, bearer).header.Values("Date"); !cmp.Equal(got, []string{want}) {
			t.Errorf("%s: Date %v, want %s", path, got, want)
		}
	}
	if got := w.get(w.exchangeURL(), bearer).header.Get("Date"); got != want {
		t.Errorf("exchange: Date %s", got)
	}
	w.advance(time.Hour)
	if got, want := w.get(base+"/missing", "").header.Get("Date"), epoch.Add(time.Hour).Format(http.TimeFormat); got != want {
		t.Errorf("Date %s, want %s", got, want)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Handle("GET /api", http.HandlerFunc(tell), scope)
	if diff := cmp.Diff(maskinportentest.Stats{}, w.Stats()); diff != "" {
		t.Error(diff)
	}
	var tokens [20]string
	var wg sync.WaitGroup
	for i := range tokens {
		a := sign(t, key(), header(), w.claims())
		wg.Go(func() { tokens[i] = w.post(a).json["access_token"].(string) })
	}
	wg.Wait()
	for _, token := range tokens {
		w.get(w.PlatformURL()+"/api", token)
	}
	w.get(w.PlatformURL()+"/api", "")
	w.get(w.exchangeURL(), tokens[0])
	w.get(w.exchangeURL(), "none")
	w.Faults.Add(faulttest.Fault{Times: 2, Status: http.StatusBadGateway})
	w.get(w.exchangeURL(), tokens[0])
	last := w.claims()
	w.post(sign(t, key(), header(), last))

	last["iat"], last["exp"] = float64(epoch.Unix()), float64(epoch.Unix()+100)
	want := maskinportentest.Stats{
		TokenRequests: 21, TokensIssued: 20, Exchanges: 3, AltinnTokensIssued: 1,
		APIRequests: 21, Refused: 2, JTIs: 21,
		LastAssertion: maskinportentest.Assertion{Header: header(), Claims: last},
	}
	got := w.Stats()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got.LastAssertion.Claims["iss"] = "changed"
	if diff := cmp.Diff(want, w.Stats()); diff != "" {
		t.Error(diff)
	}
}

// A soak must not make the server grow without end.
func TestOldThingsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early := w.token(set("jti", "early"))
	for range 1001 {
		w.get(w.exchangeURL(), "")
	}
	w.get(w.exchangeURL(), "none")
	refusals := w.Refusals()
	if n := len(refusals); n != 1000 || refusals[n-1] != "exchange: 401 unknown token" {
		t.Errorf("%d refusals", n)
	}
	w.advance(time.Hour)
	late := w.token(set("jti", "late"))
	for range 256 {
		w.token()
	}
	for _, jti := range []string{"early", "late"} {
		if got := w.post(sign(t, key(), header(), w.claims(set("jti", jti)))); !strings.Contains(got.raw, "Grant is used before") {
			t.Errorf("the jti %q was forgotten: %d", jti, got.status)
		}
	}
	w.get(w.exchangeURL(), early)
	if got := w.get(w.exchangeURL(), late); got.status != http.StatusOK {
		t.Errorf("%d for a token that lives", got.status)
	}
	refusals = w.Refusals()
	if got := refusals[len(refusals)-1]; got != "exchange: 401 unknown token" {
		t.Errorf("an old token: %s", got)
	}
}

func TestHandlerElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	elsewhere := faulttest.StartTLS(w.Handler())
	defer elsewhere.Close()
	w.client.Transport = elsewhere.Transport()
	if got := w.get(elsewhere.URL+"/.well-known/oauth-authorization-server", ""); got.json["issuer"] != w.Issuer() {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestPipe(t *testing.T) {
	t.Parallel()
	k := key()
	synctest.Test(t, func(t *testing.T) {
		srv := maskinportentest.NewPipe(maskinportentest.WithKey(k), maskinportentest.WithLatency(3*time.Second))
		defer srv.Close()
		srv.Handle("GET /api", http.HandlerFunc(tell), scope)
		w := &world{Server: srv, t: t, client: &http.Client{Transport: srv.Transport()}}

		claims := w.claims()
		claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Unix()+60
		start := time.Now()
		got := w.post(sign(t, k, header(), claims))
		if d := time.Since(start); got.status != http.StatusOK || d != 3*time.Second {
			t.Errorf("%d after %v: %s", got.status, d, got.raw)
		}
		if date := got.header.Get("Date"); date != time.Now().UTC().Format(http.TimeFormat) {
			t.Errorf("Date %s", date)
		}
		token := got.json["access_token"].(string)
		start = time.Now()
		if got := w.get(srv.PlatformURL()+"/api", token); got.status != http.StatusOK || time.Since(start) != 0 {
			t.Errorf("%d after %v", got.status, time.Since(start))
		}
		<-time.After(2 * time.Minute) // the bubble's time
		if got := w.get(srv.PlatformURL()+"/api", token); got.status != http.StatusUnauthorized {
			t.Errorf("%d for an expired token", got.status)
		}
	})
}

func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	arrived := make(chan struct{})
	srv.Faults.Add(faulttest.Fault{Hang: true, Match: func(*http.Request) bool { close(arrived); return true }})
	failed := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: srv.Transport()}
		resp, err := client.PostForm(srv.Issuer()+"token", url.Values{"assertion": {"x"}})
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	srv.Close()
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}
