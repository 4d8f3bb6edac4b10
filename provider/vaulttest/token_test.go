package vaulttest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	srv := vaulttest.NewServer(vaulttest.WithClock(func() time.Time { return now }), vaulttest.WithTokenLifetime(time.Minute))
	defer srv.Close()
	for _, tenant := range []string{srv.TenantID(), strings.ToUpper(srv.TenantID()), srv.TenantDomain()} {
		got := do(t, srv, http.MethodPost, srv.AuthorityURL()+"/"+tenant+"/oauth2/v2.0/token", "", grantForm(srv))
		if got.status != 200 || got.body.ExpiresIn != 60 {
			t.Fatalf("%s: got %d, expires_in %d, want 200, 60", tenant, got.status, got.body.ExpiresIn)
		}
		for _, step := range []struct {
			pass   time.Duration
			status int
		}{{0, 200}, {59 * time.Second, 200}, {time.Second, 401}} {
			now = now.Add(step.pass)
			if a := do(t, srv, http.MethodGet, "/secrets?api-version=7.6", got.body.AccessToken, nil); a.status != step.status {
				t.Errorf("%s: %v later: got %d, want %d", tenant, step.pass, a.status, step.status)
			}
		}
	}
}

func TestTokensLiveAnHour(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	got := do(t, srv, http.MethodPost, srv.AuthorityURL()+"/"+srv.TenantID()+"/oauth2/v2.0/token", "", grantForm(srv))
	if got.body.ExpiresIn != 3600 {
		t.Errorf("got expires_in %d, want 3600", got.body.ExpiresIn)
	}
}

func TestTokensAreForgottenOnlyWhenExpired(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	first := srv.IssueToken(vaultResource, time.Hour)
	for range 2000 {
		srv.IssueToken(vaultResource, 0)
	}
	if got := do(t, srv, http.MethodGet, "/secrets?api-version=7.6", first, nil); got.status != 200 {
		t.Errorf("got %d, want 200", got.status)
	}
}

// Azure's client answers a claims challenge by itself, with one token request.
func TestAzureClientAnswersAClaimsChallenge(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "a"}))
	defer srv.Close()
	client := newClient(t, srv)
	read := func(step string, tokens, refused int) {
		t.Helper()
		if _, err := client.GetSecret(t.Context(), "A", "", nil); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if got := srv.Stats(); got.Tokens != tokens || got.Refused != refused {
			t.Errorf("%s: got %d token requests and %d refusals, want %d and %d", step, got.Tokens, got.Refused, tokens, refused)
		}
	}
	read("before", 1, 0)
	srv.RequireClaims(revoked)
	read("challenged", 2, 1)
	read("afterwards", 2, 1)
	srv.RequireClaims(strings.Replace(revoked, "1726258122", "1726258123", 1))
	read("challenged again", 3, 2)
	srv.RequireClaims("")
	read("over", 3, 2)
}

func TestClaimsChallenge(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.RequireClaims(revoked)
	const capability = `"xms_cc":{"values":["CP1"]}`
	cases := []struct {
		name, claims string
		grant, list  int
	}{
		{name: "none", grant: 200, list: 401},
		{name: "the same", claims: revoked, grant: 200, list: 200},
		{name: "more", claims: strings.Replace(revoked, `{"nbf"`, "{"+capability+`,"nbf"`, 1), grant: 200, list: 200},
		{name: "others", claims: `{"access_token":{` + capability + `}}`, grant: 200, list: 401},
		{name: "another value", claims: strings.Replace(revoked, "8122", "8123", 1), grant: 200, list: 401},
		{name: "not an object where one is required", claims: `{"access_token":{"nbf":true}}`, grant: 200, list: 401},
		{name: "malformed", claims: `{"access_token":`, grant: 400},
		{name: "null", claims: `null`, grant: 400},
		{name: "an array", claims: `[]`, grant: 400},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			form := grantForm(srv)
			if c.claims != "" {
				form.Set("claims", c.claims)
			}
			grant := do(t, srv, http.MethodPost, srv.AuthorityURL()+"/"+srv.TenantID()+"/oauth2/v2.0/token", "", form)
			if grant.status != c.grant {
				t.Fatalf("Entra: got %d, want %d", grant.status, c.grant)
			}
			if c.grant != 200 {
				return
			}
			got := do(t, srv, http.MethodGet, "/secrets?api-version=7.6", grant.body.AccessToken, nil)
			if got.status != c.list {
				t.Errorf("the vault: got %d, want %d", got.status, c.list)
			}
			challenge := got.header.Get("WWW-Authenticate")
			for _, want := range []string{
				`Bearer realm="", authorization_uri="` + srv.AuthorityURL() + `/common/oauth2/authorize"`,
				`error="insufficient_claims"`,
				`claims="` + base64.StdEncoding.EncodeToString([]byte(revoked)) + `"`,
			} {
				if strings.Contains(challenge, want) != (c.list == 401) {
					t.Errorf("got the challenge %q, want %q in it: %v", challenge, want, c.list == 401)
				}
			}
		})
	}
}

// Without a token the vault asks for one, whatever else it will ask for.
func TestFirstChallengeComesFirst(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.RequireClaims(revoked)
	got := do(t, srv, http.MethodGet, "/secrets?api-version=7.6", "", nil)
	if challenge := got.header.Get("WWW-Authenticate"); got.status != 401 || srv.Stats().Refused != 0 || strings.Contains(challenge, "claims") || !strings.Contains(challenge, "resource=") {
		t.Errorf("got %d %q, want 401 and the challenge without claims", got.status, challenge)
	}
}

func TestClaimsThatAreNotAnObject(t *testing.T) {
	t.Parallel()
	for _, claims := range []string{"{", "null", "[]", "nbf"} {
		srv := vaulttest.NewServer()
		defer srv.Close()
		srv.RequireClaims(claims)
		got := get(t, srv, "/secrets?api-version=7.6")
		if _, message := got.failure(); got.status != 400 || !strings.Contains(message, "RequireClaims") {
			t.Errorf("%s: got %d %q, want 400 and the mistake", claims, got.status, message)
		}
	}
}
