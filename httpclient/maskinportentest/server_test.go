package maskinportentest_test

import (
	"crypto/tls"
	"crypto/x509"
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

func TestSection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string]any{
		"Environment": w.Issuer(), "ClientId": w.ClientID(), "Scope": scope,
		"EncodedJwk": key().EncodedJWK(), "TokenExchangeEnvironment": w.PlatformURL(),
	}
	first := w.Section()
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	first["Scope"] = "changed"
	if diff := cmp.Diff(want, w.Section()); diff != "" {
		t.Errorf("after a change of the first map, -want +got:\n%s", diff)
	}
	if !strings.HasPrefix(w.Issuer(), "https://127.0.0.1:") || w.Issuer() != w.PlatformURL()+"/" {
		t.Errorf("got issuer %s and platform %s, want the server's own address", w.Issuer(), w.PlatformURL())
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
		t.Errorf("got kid %q, want one that says what it is for", k.KeyID)
	}
	h := header()
	h["kid"] = k.KeyID
	if got := w.post(sign(t, k, h, w.claims())); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.raw)
	}
	if w.Key().EncodedJWK() != w.EncodedJWK() {
		t.Error("got two keys, want Key and EncodedJWK to be the same one")
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Handle("GET /flush", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if rc := http.NewResponseController(rw); rc.Flush() != nil || rc.SetReadDeadline(time.Time{}) != nil {
			t.Error("got a response controller that does not reach the connection, want one that does")
		}
	}))
	w.Handle("GET /silent", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	bearer := w.token()
	want := epoch.Format(http.TimeFormat)
	base := w.PlatformURL()
	w.Faults.Add(faulttest.Fault{Match: func(r *http.Request) bool { return r.URL.Path == "/fault" }, Status: http.StatusServiceUnavailable})
	for _, path := range []string{"/fault", "/missing", "/flush", "/silent", "/token"} {
		if got := w.get(base+path, bearer).header.Values("Date"); !cmp.Equal(got, []string{want}) {
			t.Errorf("%s: got Date %v, want %s", path, got, want)
		}
	}
	if got := w.get(w.exchangeURL(), bearer).header.Get("Date"); got != want {
		t.Errorf("exchange: got Date %s, want %s", got, want)
	}
	w.advance(time.Hour)
	if got, want := w.get(base+"/missing", "").header.Get("Date"), epoch.Add(time.Hour).Format(http.TimeFormat); got != want {
		t.Errorf("an hour later: got Date %s, want %s", got, want)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Handle("GET /api", http.HandlerFunc(tell), scope)
	if diff := cmp.Diff(maskinportentest.Stats{}, w.Stats()); diff != "" {
		t.Errorf("at first, -want +got:\n%s", diff)
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
		t.Errorf("-want +got:\n%s", diff)
	}
	got.LastAssertion.Claims["iss"] = "changed"
	if diff := cmp.Diff(want, w.Stats()); diff != "" {
		t.Errorf("after a change of the copy, -want +got:\n%s", diff)
	}
}

// A soak does not make the server grow without end.
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
		t.Errorf("got %d refusals, want the last 1000", n)
	}
	w.advance(time.Hour)
	late := w.token(set("jti", "late"))
	for range 256 {
		w.token()
	}
	for _, jti := range []string{"early", "late"} {
		if got := w.post(sign(t, key(), header(), w.claims(set("jti", jti)))); !strings.Contains(got.raw, "Grant is used before") {
			t.Errorf("jti %q: got %d, want that it was used before", jti, got.status)
		}
	}
	w.get(w.exchangeURL(), early)
	if got := w.get(w.exchangeURL(), late); got.status != http.StatusOK {
		t.Errorf("a token that has not expired: got %d, want 200", got.status)
	}
	refusals = w.Refusals()
	if got := refusals[len(refusals)-1]; got != "exchange: 401 unknown token" {
		t.Errorf("an old token: got %q, want that it is unknown", got)
	}
}

// A program in another language knows only the certificate.
func TestCertificatePEM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(w.CertificatePEM()) {
		t.Fatalf("got %q, want a certificate", w.CertificatePEM())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	w.client = &http.Client{Transport: transport}
	w.token()

	pipe := maskinportentest.NewPipe()
	defer pipe.Close()
	if got := pipe.CertificatePEM(); got != nil {
		t.Errorf("pipe: got %q, want nil: it has no TLS", got)
	}
}

// All clients share one transport, so they share connections.
func TestClientsShareTheTransport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.Transport()
	if got := w.Transport(); got != want {
		t.Errorf("got transport %p, then %p, want the same", want, got)
	}
	for range 2 {
		if got := w.Client().Transport; got != want {
			t.Errorf("client: got transport %v, want that of the server", got)
		}
	}
}

func TestHandlerElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	elsewhere := faulttest.StartTLS(w.Handler())
	defer elsewhere.Close()
	w.client.Transport = elsewhere.Transport()
	if got := w.get(elsewhere.URL+"/.well-known/oauth-authorization-server", ""); got.json["issuer"] != w.Issuer() {
		t.Errorf("got %d %s, want the metadata", got.status, got.raw)
	}
}

func TestPipe(t *testing.T) {
	t.Parallel()
	k := key()
	synctest.Test(t, func(t *testing.T) {
		srv := maskinportentest.NewPipe(maskinportentest.WithKey(k), maskinportentest.WithLatency(3*time.Second))
		defer srv.Close()
		srv.Handle("GET /api", http.HandlerFunc(tell), scope)
		w := &world{Server: srv, t: t, client: srv.Client(), clock: time.Now}

		start := time.Now()
		got := w.post(sign(t, k, header(), w.claims()))
		if d := time.Since(start); got.status != http.StatusOK || d != 3*time.Second {
			t.Errorf("got %d %s after %v, want 200 after 3s", got.status, got.raw, d)
		}
		if date, want := got.header.Get("Date"), time.Now().UTC().Format(http.TimeFormat); date != want {
			t.Errorf("got Date %s, want %s", date, want)
		}
		token := got.json["access_token"].(string)
		start = time.Now()
		if got := w.get(srv.PlatformURL()+"/api", token); got.status != http.StatusOK || time.Since(start) != 0 {
			t.Errorf("API: got %d after %v, want 200 at once", got.status, time.Since(start))
		}
		<-time.After(2 * time.Minute) // the bubble's time
		if got := w.get(srv.PlatformURL()+"/api", token); got.status != http.StatusUnauthorized {
			t.Errorf("an expired token: got %d, want 401", got.status)
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
		resp, err := srv.Client().PostForm(srv.TokenURL(), url.Values{"assertion": {"x"}})
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	srv.Close()
	if err := <-failed; err == nil {
		t.Error("got an answer, want an error")
	}
}
