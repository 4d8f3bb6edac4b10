package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// The assertion is what Digdir documents, and nothing more.
func TestAssertion(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		changes map[string]any
		extra   map[string]any
	}{
		{"plain", nil, nil},
		{"a supplier, a resource", map[string]any{"ConsumerOrgNo": "991825827", "Resource": "https://api.example/"}, map[string]any{"consumer_org": "991825827", "resource": "https://api.example/"}},
		{"scopes in disorder", map[string]any{"Scope": scope + "," + scope + " " + scope}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t, maskinportentest.WithClient(maskinportentest.Client{OrgNo: "974760673"}))
			token, err := sourceOf(t, srv, c.changes).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			claims := srv.Stats().LastAssertion.Claims
			iat, _ := claims["iat"].(float64)
			exp, _ := claims["exp"].(float64)
			id, _ := claims["jti"].(string)
			if exp-iat != 120 || time.Since(time.Unix(int64(iat), 0)).Abs() > time.Minute || len(id) < 20 {
				t.Errorf("got iat %v, exp %v and jti %q, want a life of 120 s from now and a long jti", iat, exp, id)
			}
			for _, name := range []string{"iat", "exp", "jti"} {
				delete(claims, name)
			}
			want := map[string]any{"aud": srv.Issuer(), "iss": srv.ClientID(), "scope": scope}
			maps.Copy(want, c.extra)
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Error(diff)
			}
			if token.Lifetime() != 2*time.Minute || token.IsAltinn() || !slices.Equal(token.Scopes(), []string{scope}) {
				t.Errorf("got token %v and life %v, want a Maskinporten token and 2m", token, token.Lifetime())
			}
			if left := time.Until(token.Expires()); left > 2*time.Minute || left < time.Minute {
				t.Errorf("got a token that expires in %v, want 1m to 2m", left)
			}
		})
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true, "UseAltinnTestOrg": true})
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !token.IsAltinn() || token.Lifetime() != 30*time.Minute || !slices.Equal(token.Scopes(), []string{scope}) {
		t.Errorf("got token %v and life %v, want an Altinn token and 30m", token, token.Lifetime())
	}
	if got := payload(t, token)["urn:altinn:org"]; got != "ttd" {
		t.Errorf("got a token of %v, want one of the test organisation ttd", got)
	}
	if status, body := get(t, source.Client(), srv.PlatformURL()+"/api"); status != 200 {
		t.Errorf("got %d %s of the API, want 200", status, body)
	}
	if s := srv.Stats(); s.TokenRequests != 1 || s.Exchanges != 1 || s.Refused != 0 {
		t.Errorf("got %+v, want a token request, an exchange and no refusal", s)
	}
}

// An Altinn token's life is told by itself, in each form of the answer.
func TestExchangeAnswers(t *testing.T) {
	t.Parallel()
	jwt := func(payload string) string {
		return strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace("eyJ9."+encoded(payload)), "=") + ".c2ln"
	}
	const date = "Tue, 24 Nov 2026 10:00:00 GMT"
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Unix()
	cases := []struct {
		name, body string
		life       time.Duration
		err        string
	}{
		{name: "text", body: jwt(`{"iat":1000,"exp":1900}`), life: 15 * time.Minute},
		{name: "a JSON string", body: `"` + jwt(`{"iat":1000,"exp":1900}`) + `"`, life: 15 * time.Minute},
		{name: "white space around", body: "\n" + jwt(`{"iat":1000,"exp":1900}`) + "\r\n", life: 15 * time.Minute},
		{name: "no iat: counted from the answer's Date", body: jwt(fmt.Sprintf(`{"exp":%d}`, at+60)), life: time.Minute},
		{name: "no exp", body: jwt(`{"iat":1000}`), err: "the token does not say how long it lives"},
		{name: "already over", body: jwt(`{"iat":1000,"exp":1000}`), err: "the token has already expired"},
		{name: "15 characters", body: "CANARY-01234567", err: "the answer holds no usable token"},
		{name: "a word", body: "CANARY", err: "the answer holds no usable token"},
		{name: "not a JWT, from a cache that is too old", body: "CANARY.CANARY-0123456789", err: "the answer's Date is older than a token lives"},
		{name: "one word", body: "html>CANARY0123456789</html>", err: "the answer holds no usable token"},
		{name: "words", body: "CANARY, not a token\n<p>", err: "the answer holds no usable token"},
		{name: "half a string", body: `"CANARY`, err: "the answer is neither a token nor a JSON string"},
		{name: "nothing", body: "", err: "the answer holds no usable token"},
		{name: "two lines", body: jwt(`{"iat":1,"exp":2}`) + "\nX-Injected: CANARY", err: "the answer holds no usable token"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			srv.Faults.Add(faulttest.Fault{Match: toExchange, Times: -1, Status: 200, Body: c.body, Header: http.Header{"Date": {date}}})
			token, err := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}).Token(t.Context())
			if c.err == "" {
				if err != nil || token.Lifetime() != c.life || strings.Contains(token.AccessToken(), "\n") {
					t.Fatalf("got %v and error %v, want a life of %v", token, err, c.life)
				}
				return
			}
			if !strings.Contains(message(err), "check TokenExchangeEnvironment and the proxy: something else answers in the server's place - ") || !strings.HasSuffix(message(err), ": 200 OK: "+c.err) {
				t.Errorf("got %v, want %s", err, c.err)
			}
			if strings.Contains(prints(err), "CANARY") {
				t.Error("got an error that quotes the answer, want no quotation")
			}
		})
	}
}

// Ten thousand callers on a cold cache cost one token request and one exchange.
func TestOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithLatency(time.Second))
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
		defer source.Close()
		var callers sync.WaitGroup
		for range 10_000 {
			callers.Go(func() {
				if _, err := source.Token(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if s := srv.Stats(); s.TokenRequests != 1 || s.Exchanges != 1 {
			t.Errorf("got %+v, want a token request and an exchange", s)
		}
	})
}

// A waiter leaves at its own deadline; the fetch goes on and serves the others.
func TestWaitersLeaveOnTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithLatency(5*time.Second), maskinportentest.WithIssuer("https://test.maskinporten.no/"))
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := source.Token(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 50*time.Millisecond {
			t.Errorf("got %v after %v, want the deadline after 50ms", err, time.Since(start))
		}
		// All waiters have left, and the result is kept all the same.
		pass(5 * time.Second)
		synctest.Wait()
		start = time.Now()
		if _, err := source.Token(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want a token at once", err, time.Since(start))
		}
		if s := srv.Stats(); s.TokenRequests != 1 {
			t.Errorf("got %d token requests, want 1", s.TokenRequests)
		}
		if _, err := source.Token(canceled(t)); err != nil {
			t.Errorf("got %v, want the token that is there", err)
		}
	})
}

func TestCancelledCallerFetchesNothing(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	_, err := sourceOf(t, srv, nil).Token(canceled(t))
	if message(err) != "httpclient: waiting for a token of client "+srv.ClientID()+": gone home" || srv.Stats().TokenRequests != 0 {
		t.Errorf("got %v and %d token requests, want the context's cause and 0", err, srv.Stats().TokenRequests)
	}
}

// A request a second for ten minutes with tokens of two minutes.
func TestNobodyWaitsWhenWarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithLatency(500*time.Millisecond))
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		waited := 0
		for range 600 {
			start := time.Now()
			token, err := source.Token(t.Context())
			if err != nil || !time.Now().Before(token.Expires().Add(-time.Second)) {
				t.Fatalf("got %v and error %v, want a token that lives", token, err)
			}
			if time.Since(start) > 0 {
				waited++
			}
			pass(time.Second - time.Since(start))
		}
		synctest.Wait()
		if n := srv.Stats().TokenRequests; waited != 1 || n > 6 || n < 5 {
			t.Errorf("got %d requests that waited and %d token requests, want 1 and 5 or 6", waited, n)
		}
	})
}

// Tokens of every length are refreshed late, but ahead of their end, and no
// token is used in the last bit of its life.
func TestSchedule(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, 120 * time.Second, 599 * time.Second, 30 * time.Minute, time.Hour, 2 * time.Hour} {
		earliest, end := httpclient.Schedule(life, 0)
		latest, _ := httpclient.Schedule(life, 0.999999)
		if earliest < life*84/100 || life-earliest > 5*time.Minute {
			t.Errorf("%v: got a refresh at %v, want it later", life, earliest)
		}
		if latest-earliest < life/100 && latest-earliest < time.Minute {
			t.Errorf("%v: got a jitter of %v, want more", life, latest-earliest)
		}
		if latest >= end || end >= life || life-end > 10*time.Second {
			t.Errorf("%v: got a refresh at %v and an end at %v, want both earlier", life, latest, end)
		}
	}
}

// The Maskinporten token behind an Altinn token is used again while it lives,
// and replaced when Altinn has stopped taking it.
func TestMaskinportenTokenIsKept(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]bool{"kept": false, "revoked in the meantime": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, maskinportentest.WithTokenLifetime(2*time.Hour), maskinportentest.WithAltinnTokenLifetime(time.Minute))
				defer srv.Close()
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
				defer source.Close()
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				if revoke {
					srv.RevokeAll()
				}
				pass(2 * time.Minute)
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				want := [2]int{1, 2}
				if revoke {
					want = [2]int{2, 3}
				}
				if s := srv.Stats(); [2]int{s.TokenRequests, s.Exchanges} != want {
					t.Errorf("got %d token requests and %d exchanges, want %v", s.TokenRequests, s.Exchanges, want)
				}
			})
		})
	}
}

// A custom issuer's endpoint comes from its metadata, once.
func TestMetadata(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/oauth-authorization-server"
	toMetadata := func(r *http.Request) bool { return r.URL.Path == path }
	cases := []struct {
		name      string
		fault     faulttest.Fault
		cure, err string
	}{
		{name: "as it should be"},
		{name: "not there: {issuer}token", fault: faulttest.Fault{Status: 404}},
		{name: "garbage: {issuer}token", fault: faulttest.Fault{Status: 200, Body: "<html>"}},
		{name: "dropped: {issuer}token", fault: faulttest.Fault{Drop: true}},
		{
			name: "of another issuer", fault: faulttest.Fault{Status: 200, Body: `{"issuer":"https://evil.example/","token_endpoint":"https://evil.example/token"}`},
			cure: "it must be the issuer exactly as its metadata spells it", err: "the metadata is of another issuer",
		},
		{
			name: "with an insecure endpoint", fault: faulttest.Fault{Status: 200, Body: `{"issuer":"ISSUER","token_endpoint":"http://evil.example/token"}`},
			cure: "ask the issuer's owner to correct its metadata", err: "its token_endpoint is not an https URL without a query",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t, maskinportentest.WithoutOpenIDMetadata())
			if c.fault.Status != 0 || c.fault.Drop {
				c.fault.Match, c.fault.Times = toMetadata, -1
				c.fault.Body = strings.ReplaceAll(c.fault.Body, "ISSUER", srv.Issuer())
				srv.Faults.Add(c.fault)
			}
			source := sourceOf(t, srv, nil)
			_, err := source.Token(t.Context())
			if c.err == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else if want := "httpclient: check Environment: " + c.cure + " - issuer metadata at " + strings.TrimSuffix(srv.Issuer(), "/") + path + ": 200 OK: " + c.err; message(err) != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if n := srv.Stats().Metadata; n != 1 {
				t.Errorf("got %d requests for metadata, want 1", n)
			}
		})
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		source.Close()
		source.Close()
		if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
			t.Errorf("Token: got %v, want ErrClosed", err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.PlatformURL()+"/api", nil)
		if _, err := source.Client().Do(req); !errors.Is(err, httpclient.ErrClosed) {
			t.Errorf("the client: got %v, want ErrClosed", err)
		}
	})
}

func TestCloseEndsAFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
		failed := make(chan error)
		go func() {
			_, err := source.Token(t.Context())
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		go source.Close()
		if err := <-failed; !errors.Is(err, httpclient.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want ErrClosed at once", err, time.Since(start))
		}
	})
}

func TestZeroValues(t *testing.T) {
	t.Parallel()
	var source httpclient.TokenSource
	if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:1/", nil)
	if _, err := source.Client().Do(req); !errors.Is(err, httpclient.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	source.Close()
	var nothing *httpclient.TokenSource
	var none *httpclient.Token
	if got := fmt.Sprint(nothing, none); got != "httpclient.TokenSource(closed) no token" {
		t.Errorf("got %s, want a closed source and no token", got)
	}
}
