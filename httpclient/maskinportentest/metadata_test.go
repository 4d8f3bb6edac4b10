package maskinportentest_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	const oauth, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	for name, tc := range map[string]struct {
		opts   []maskinportentest.Option
		issuer string // the server's own if empty
		status map[string]int
	}{
		"both":           {status: map[string]int{oauth: 200, openID: 200}},
		"OpenID only":    {opts: []maskinportentest.Option{maskinportentest.WithoutOAuthMetadata()}, status: map[string]int{oauth: 404, openID: 200}},
		"OAuth only":     {opts: []maskinportentest.Option{maskinportentest.WithoutOpenIDMetadata()}, status: map[string]int{oauth: 200, openID: 404}},
		"neither":        {opts: []maskinportentest.Option{maskinportentest.WithoutOAuthMetadata(), maskinportentest.WithoutOpenIDMetadata()}, status: map[string]int{oauth: 404, openID: 404}},
		"with slash":     {issuer: "https://test.maskinporten.no/", status: map[string]int{oauth: 200, openID: 200}},
		"without slash":  {issuer: "https://sky.maskinporten.no", status: map[string]int{oauth: 200, openID: 200}},
		"path":           {issuer: "https://idp.example/a/b", status: map[string]int{oauth: 200, openID: 200}},
		"path and slash": {issuer: "https://idp.example/a/b/", status: map[string]int{oauth: 200, openID: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(tc.opts, maskinportentest.WithIssuer(tc.issuer))...)
			if tc.issuer != "" && w.Issuer() != tc.issuer {
				t.Errorf("got issuer %s, want it as it was spelt: %s", w.Issuer(), tc.issuer)
			}
			base := strings.TrimSuffix(w.Issuer(), "/")
			want := map[string]any{
				"issuer":                                w.Issuer(),
				"token_endpoint":                        base + "/token",
				"jwks_uri":                              base + "/jwk",
				"grant_types_supported":                 []any{grant},
				"token_endpoint_auth_methods_supported": []any{"private_key_jwt"},
				"token_endpoint_auth_signing_alg_values_supported": []any{"RS256", "RS384", "RS512"},
				"authorization_details_types_supported":            []any{"urn:altinn:consent", "urn:altinn:systemuser"},
			}
			count := maskinportentest.Stats{}
			for path, status := range tc.status {
				got := w.get(base+path, "")
				if got.status != status {
					t.Errorf("%s: got %d, want %d", path, got.status, status)
				}
				if status != http.StatusOK {
					continue
				}
				count.Metadata++
				if diff := cmp.Diff(want, got.json); diff != "" {
					t.Errorf("%s, -want +got:\n%s", path, diff)
				}
			}
			if diff := cmp.Diff(count, w.Stats()); diff != "" {
				t.Errorf("counts, -want +got:\n%s", diff)
			}
			if w.TokenURL() != base+"/token" {
				t.Errorf("got token URL %s, want %s/token", w.TokenURL(), base)
			}
			w.token() // its aud is the issuer
		})
	}
}

// Metadata and keys are read by GET only, and nothing else is there.
func TestMetadataRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{".well-known/oauth-authorization-server", ".well-known/openid-configuration", "jwk"} {
		got := w.do(http.NewRequestWithContext(t.Context(), http.MethodPost, w.Issuer()+path, http.NoBody))
		if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET" {
			t.Errorf("%s: got %d and Allow %q for POST, want 405 and GET", path, got.status, got.header.Get("Allow"))
		}
	}
	if got := w.get(w.Issuer()+"missing", ""); got.status != http.StatusNotFound {
		t.Errorf("got %d for a path that does not exist, want 404", got.status)
	}
	if diff := cmp.Diff(maskinportentest.Stats{Metadata: 2, Refused: 3}, w.Stats()); diff != "" {
		t.Errorf("counts, -want +got:\n%s", diff)
	}
}

// The audience is the issuer as it is spelt, with or without a trailing slash.
func TestAudienceIsTheIssuerAsSpelt(t *testing.T) {
	t.Parallel()
	for issuer, wrong := range map[string]string{
		"https://sky.maskinporten.no":   "https://sky.maskinporten.no/",
		"https://test.maskinporten.no/": "https://test.maskinporten.no",
	} {
		w := newWorld(t, maskinportentest.WithIssuer(issuer))
		w.token(set("aud", issuer))
		got := w.post(sign(t, key(), header(), w.claims(set("aud", wrong))))
		if d, _ := got.json["error_description"].(string); got.status != http.StatusBadRequest || !strings.Contains(d, "Invalid JWT claim aud") {
			t.Errorf("issuer %s, aud %s: got %d %s, want MP-110", issuer, wrong, got.status, got.raw)
		}
		if got, want := got.json["error_uri"], "https://"+strings.Split(issuer, "/")[2]+"/errors/MP-110"; got != want {
			t.Errorf("got error_uri %s, want %s", got, want)
		}
	}
}

func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		maskinportentest.WithIssuer("https://ver2.maskinporten.no/"),
		maskinportentest.WithPlatform("https://platform.tt02.altinn.no/"),
		maskinportentest.WithTokenLifetime(90*time.Second+time.Millisecond),
	)
	if w.Issuer() != "https://ver2.maskinporten.no/" || w.PlatformURL() != "https://platform.tt02.altinn.no" {
		t.Fatalf("got issuer %s and platform %s, want ver2 and tt02", w.Issuer(), w.PlatformURL())
	}
	got := w.post(sign(t, key(), header(), w.claims()))
	if got.json["expires_in"] != 90.0 {
		t.Errorf("got expires_in %v, want 90", got.json["expires_in"])
	}
	token := got.json["access_token"].(string)
	if got := w.get(w.exchangeURL(), token); got.status != http.StatusOK {
		t.Errorf("exchange: got %d %s, want 200", got.status, got.raw)
	}
	if got := w.get(strings.Replace(w.exchangeURL(), "platform.tt02.altinn.no", "ver2.maskinporten.no", 1), token); got.status != http.StatusNotFound {
		t.Errorf("exchange at Maskinporten's host: got %d, want 404", got.status)
	}
	if got := w.get("https://platform.tt02.altinn.no/.well-known/oauth-authorization-server", ""); got.status != http.StatusNotFound {
		t.Errorf("metadata at the platform's host: got %d, want 404", got.status)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://maskinporten.no/", http.NoBody)
	if resp, err := w.client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("got an answer from another host, want an error")
	}
}

// Whatever the options say, a server starts. Only a host that no certificate can
// name is another matter.
func TestOddIssuers(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		"", "/", "https://%zz", "no URL", "https://idp.example/{id}/", "https://idp.example//a/../b/", "https://idp.example/a b",
		"https://idp.example:8443/", "https://[::1]/", "https://idp.example/?a=b#c",
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := maskinportentest.NewPipe(maskinportentest.WithIssuer(issuer), maskinportentest.WithPlatform(issuer))
			defer srv.Close()
			want := issuer
			if issuer == "" {
				want = "https://pipe.invalid/"
			}
			if got := srv.Issuer(); got != want {
				t.Errorf("got issuer %q, want %q", got, want)
			}
		})
	}
}
