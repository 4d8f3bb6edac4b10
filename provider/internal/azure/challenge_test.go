package azure

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestChallengeIsSound holds each part of the check by itself.
func TestChallengeIsSound(t *testing.T) {
	t.Parallel()
	const authority = `authorization="https://login.microsoftonline.com/t"`
	claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true}}}`))
	cases := []struct {
		name, challenge string
		want            bool
	}{
		{"Key Vault's", goodChallenge, true},
		{"with a scope", `Bearer ` + authority + ` scope="https://managedhsm.azure.net/.default" resource="https://managedhsm.azure.net"`, true},
		{"none", "", true},
		{"no authorization", `Bearer resource="https://vault.azure.net"`, false},
		{"an authorization without a path", `Bearer authorization="https://login", resource="https://vault.azure.net"`, false},
		{"an authorization without a tenant", `Bearer authorization="https://login/", resource="https://vault.azure.net"`, false},
		{"an authorization of commas", `Bearer authorization=",,", resource="https://vault.azure.net"`, false},
		{"a tenant of commas", `Bearer authorization="https://login/,,", resource="https://vault.azure.net"`, false},
		{"an authorization of a quote", `Bearer authorization="" x", resource="https://vault.azure.net"`, false},
		{"an authorization that the SDK skips", `Bearer authorization="https://login/t?a=b", resource="https://vault.azure.net"`, false},
		{"no resource", `Bearer ` + authority, false},
		{"an empty resource", `Bearer ` + authority + `, resource=""`, false},
		{"a resource without a host", `Bearer ` + authority + `, resource="https:cfa8b339"`, false},
		{"a resource without a scheme", `Bearer ` + authority + `, resource="vault.azure.net"`, false},
		{"a resource over plain http", `Bearer ` + authority + `, resource="http://vault.azure.net"`, false},
		{"a resource that is not a URL", `Bearer ` + authority + `, resource="https://%zz"`, false},
		{"a scope before a good resource", `Bearer ` + authority + ` scope="cfa8b339" resource="https://vault.azure.net"`, false},
		{"claims", `Bearer realm="", error="insufficient_claims", claims="` + claims + `"`, true},
		{"claims that are not base64", `Bearer realm="", error="insufficient_claims", claims="#"`, false},
		{"claims of another scheme", `PoP realm="", error="insufficient_claims", claims="` + claims + `"`, false},
		{"claims without the error", `Bearer realm="", claims="` + claims + `"`, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {c.challenge}}}
			if _, got := readChallenge(resp); got != c.want {
				t.Errorf("%s: got %v, want %v", c.challenge, got, c.want)
			}
			resp.StatusCode = http.StatusForbidden
			if tenant, sound := readChallenge(resp); !sound || tenant != "" {
				t.Error("the header of an answer that is not a challenge was read")
			}
		})
	}
}

// TestClaimsChallenge shows that the vault may ask for a token with more claims.
func TestClaimsChallenge(t *testing.T) {
	t.Parallel()
	const claims = `{"access_token":{"nbf":{"essential":true}}}`
	cred, asked := &credential{}, 0
	s := open(t, cred, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := challenged(r, goodChallenge)
		if asked++; asked == 2 {
			resp.StatusCode = http.StatusUnauthorized
			resp.Header.Set("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
		}
		return resp, err
	})})
	if _, err := s.Get(t.Context(), "A", ""); err != errNoValue { //nolint:errorlint // no wrapping is wanted
		t.Errorf("got %v, want the third answer, which is empty", err)
	}
	if len(cred.asked) != 2 || cred.asked[1].Claims != claims || cred.asked[1].Scopes[0] != cred.asked[0].Scopes[0] {
		t.Errorf("asked for %+v, want a second token with the claims", cred.asked)
	}
}

// FuzzChallenge sends challenges through the SDK. Whatever they say, a token is
// asked for only when the challenge is one of Key Vault's, and nothing panics.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{
		goodChallenge,
		`Bearer authorization="https://login.microsoftonline.com/t" scope="https://vault.azure.net/.default" resource="x"`,
		`Bearer authorization=",,", resource="https://vault.azure.net"`,
		"Bearer authorization=\t resource=x",
		`authorization=a=b resource="x"`,
		`Bearer authorization="https://login/t", resource="http://vault.azure.net"`,
		`Bearer authorization="https://login/t", resource="https://azure.net:443"`,
		`Bearer authorization="" x", resource="https://vault.azure.net"`,
		`Bearer error="insufficient_claims", claims="e30="`,
		`Bearer error="insufficient_claims", claims="e30=" authorization=x resource="https://vault.azure.net"`,
		`x Bearer error="insufficient_claims", claims="e30="`,
		"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, challenge string) {
		cred := &credential{}
		s := open(t, cred, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return challenged(r, challenge)
		})})
		_, err := s.Get(t.Context(), "A", "")
		if err == nil {
			t.Fatal("an empty answer was taken for a secret")
		}
		for _, options := range cred.asked {
			for _, scope := range options.Scopes {
				u, err := url.Parse(strings.TrimSuffix(scope, "/.default"))
				if err != nil || u.Scheme != "https" || u.Host == "" || !strings.HasSuffix(vaultURL, "."+u.Host) {
					t.Errorf("%q: asked for a token for %q", challenge, scope)
				}
			}
			if len(options.Scopes) != 1 || options.TenantID == "" {
				t.Errorf("%q: asked for %+v", challenge, options)
			}
		}
		if d := s.Diagnose(t.Context(), StepGet, err); strings.ContainsAny(d.Reason, "\r\n") || len(d.Reason) > 400 {
			t.Errorf("%q: the reason is %q", challenge, d.Reason)
		}
	})
}
