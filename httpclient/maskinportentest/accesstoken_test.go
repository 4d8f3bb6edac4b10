package maskinportentest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// publishedKey finds a kid in the issuer's jwks_uri, as an API does.
func publishedKey(t *testing.T, w *world, kid string) *rsa.PublicKey {
	t.Helper()
	metadata := w.get(strings.TrimSuffix(w.Issuer(), "/")+"/.well-known/oauth-authorization-server", "")
	answer := w.get(metadata.json["jwks_uri"].(string), "")
	var set struct {
		Keys []struct{ Kty, Use, Alg, Kid, N, E string }
	}
	if err := json.Unmarshal([]byte(answer.raw), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("got key set %s, %v, want one key", answer.raw, err)
	}
	k := set.Keys[0]
	if k.Kty != "RSA" || k.Use != "sig" || k.Alg != "RS256" || k.Kid != kid {
		t.Fatalf("got %+v, want the key %q for RS256", k, kid)
	}
	for _, member := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`} {
		if strings.Contains(answer.raw, member) {
			t.Fatalf("got a private key in %s, want its public half", answer.raw)
		}
	}
	number := func(text string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	return &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}
}

// verified checks a Maskinporten token as an API does, and returns its claims.
func verified(t *testing.T, w *world, token string) map[string]any {
	t.Helper()
	claims := payload(t, token)
	parts := strings.Split(token, ".")
	var header map[string]any
	raw, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	id, _ := header["kid"].(string)
	if diff := cmp.Diff(map[string]any{"kid": id, "alg": "RS256"}, header); diff != "" {
		t.Errorf("header, -want +got:\n%s", diff)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(publishedKey(t, w, id), crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("got %v, want a signature by the key of jwks_uri", err)
	}
	return claims
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	self := issue(t, key(), key(), nil, func(c *x509.Certificate) { c.Subject.SerialNumber = org })
	for name, tc := range map[string]struct {
		opts   []maskinportentest.Option
		header map[string]any
		edits  []func(map[string]any)
		want   map[string]any // beside the usual claims
	}{
		"plain": {},
		"certificate": {
			opts:   []maskinportentest.Option{maskinportentest.WithClient(maskinportentest.Client{Roots: []*x509.Certificate{nil, self}})},
			header: map[string]any{"alg": "RS256", "x5c": der(self)},
			want:   map[string]any{"client_amr": "virksomhetssertifikat"},
		},
		"two scopes": {
			opts:  []maskinportentest.Option{maskinportentest.WithClient(maskinportentest.Client{Scopes: []string{"a", "b"}})},
			edits: []func(map[string]any){set("scope", "b a")},
			want:  map[string]any{"scope": "b a"},
		},
		"issuer without slash": {
			opts: []maskinportentest.Option{maskinportentest.WithIssuer("https://sky.maskinporten.no")},
			want: map[string]any{"iss": "https://sky.maskinporten.no"},
		},
		"resource":       {edits: []func(map[string]any){set("resource", "urn:x")}, want: map[string]any{"aud": "urn:x"}},
		"resource array": {edits: []func(map[string]any){set("resource", []any{"urn:x"})}, want: map[string]any{"aud": []any{"urn:x"}}},
		"pid":            {edits: []func(map[string]any){set("pid", "12345678901")}, want: map[string]any{"pid": "12345678901"}},
		"consent":        {edits: []func(map[string]any){set("authorization_details", consent())}, want: map[string]any{"authorization_details": consent()}},
		"system user":    {edits: []func(map[string]any){set("authorization_details", systemUser())}, want: map[string]any{"authorization_details": answeredSystemUser()}},
		"consumer_org": {
			edits: []func(map[string]any){set("consumer_org", "123456789")},
			want: map[string]any{
				"consumer": organisation("123456789"), "supplier": organisation(org), "delegation_source": "https://www.altinn.no/",
			},
		},
		"another organisation's client": {
			opts: []maskinportentest.Option{maskinportentest.WithClient(maskinportentest.Client{OrgNo: "123456789"})},
			want: map[string]any{"consumer": organisation("123456789")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.opts...)
			h := header()
			if tc.header != nil {
				h = tc.header
			}
			answer := w.post(sign(t, key(), h, w.claims(tc.edits...)))
			token, _ := answer.json["access_token"].(string)
			want := map[string]any{
				"iss": w.Issuer(), "client_amr": "private_key_jwt", "token_type": "Bearer",
				"iat": float64(epoch.Unix()), "exp": float64(epoch.Unix() + 120),
				"scope": scope, "client_id": w.ClientID(), "consumer": organisation(org),
			}
			maps.Copy(want, tc.want)
			if diff := cmp.Diff(want, verified(t, w, token)); diff != "" {
				t.Errorf("claims, -want +got:\n%s", diff)
			}
		})
	}
}

// A client that was registered without an organisation gets tokens with one: an API
// that reads it would break on an empty number.
func TestAccessTokenOfNoOrganisation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddClient(maskinportentest.Client{ID: "two", Scopes: []string{scope}, Keys: []maskinportentest.Key{key()}})
	if got := verified(t, w, w.token(set("iss", "two")))["consumer"]; !cmp.Equal(got, any(organisation(org))) {
		t.Errorf("got consumer %v, want %s", got, org)
	}
}

func TestSystemUserID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := func(edits ...func(map[string]any)) string {
		t.Helper()
		parts := strings.Split(w.token(set("authorization_details", systemUser(edits...))), ".")
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			Details []struct {
				ID []string `json:"systemuser_id"`
			} `json:"authorization_details"`
		}
		if err := json.Unmarshal(raw, &claims); err != nil || len(claims.Details) != 1 || len(claims.Details[0].ID) != 1 {
			t.Fatalf("got %s, %v, want one system user with one id", raw, err)
		}
		return claims.Details[0].ID[0]
	}
	first, again := id(), id()
	if again != first {
		t.Errorf("got id %s, then %s, want the same for the same system user", first, again)
	}
	if other := id(set("systemuser_org", organisation("987654321"))); other == first {
		t.Errorf("got id %s for two organisations, want two ids", other)
	}
	if other := id(set("externalRef", "other")); other == first {
		t.Errorf("got id %s for two references, want two ids", other)
	}
}

// A signature proves nothing here, because the key is public.
func TestOnlyIssuedTokensAreAccepted(t *testing.T) {
	t.Parallel()
	one, two := newWorld(t), newWorld(t)
	two.Handle("GET /api", http.HandlerFunc(tell))
	mine, foreign := two.token(), one.token()
	parts := strings.Split(mine, ".")
	for name, token := range map[string]string{
		"another server's":      foreign,
		"without its signature": parts[0] + "." + parts[1] + ".",
		"with another's":        parts[0] + "." + parts[1] + "." + strings.Split(foreign, ".")[2],
	} {
		if got := two.get(two.PlatformURL()+"/api", token).status; got != http.StatusUnauthorized {
			t.Errorf("API, token %s: got %d, want 401", name, got)
		}
		if got := two.get(two.exchangeURL(), token).status; got != http.StatusUnauthorized {
			t.Errorf("exchange, token %s: got %d, want 401", name, got)
		}
	}
	if got := two.get(two.PlatformURL()+"/api", mine).status; got != http.StatusOK {
		t.Errorf("its own token: got %d, want 200", got)
	}
}
