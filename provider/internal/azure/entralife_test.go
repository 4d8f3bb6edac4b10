package azure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// function is a credential of which only a function is known, as Config.Credential is.
type function func(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f function) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f(ctx, options)
}

const applicationID = "00000000-0000-4000-8000-00000000cccc"

// atEntra is a client secret, named by settings, whose requests are answered by a
// function. What it gives is the credential's method.
func atEntra(t *testing.T, carrier transporter) azcore.TokenCredential {
	t.Helper()
	var options azidentity.ClientSecretCredentialOptions
	options.DisableInstanceDiscovery, options.Transport = true, carrier
	names := Names{TenantID: "a:TenantId (a.json)", ClientID: "a:ClientId (a.json)", ClientSecret: "a:ClientSecret (a.json)"}
	cred, closeAll, err := ClientSecret(tenantGUID, applicationID, "secret", names, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAll)
	return function(cred.GetToken)
}

// entraGives answers as Entra does: its metadata, and what it is told for a token.
func entraGives(status int, body string) transporter {
	return func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return answer(status, body), nil
		}
		const at = "https://login.microsoftonline.com/" + tenantGUID
		return answer(200, fmt.Sprintf(`{"token_endpoint":"%s/oauth2/v2.0/token","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","issuer":"%[1]s/v2.0"}`, at)), nil
	}
}

const goodToken = `{"token_type":"Bearer","expires_in":3600,"access_token":"token-for-tests-only"}`

// alwaysChallenging is a vault that asks for a token and then gives an answer.
func alwaysChallenging(status int, body string) transporter {
	return func(r *http.Request) (*http.Response, error) {
		resp, err := challenged(r, goodChallenge)
		if resp.StatusCode == http.StatusOK {
			resp.StatusCode, resp.Body = status, io.NopCloser(strings.NewReader(body))
		}
		return resp, err
	}
}

// A service's credential lives as long as it does. Sessions and calls that used up their
// tries at Entra leave the next one all of its own.
func TestTriesAtEntraCountApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func() (*http.Response, error)
		lasts  bool // the vault's client lives long, too
	}{
		"sessions, a status":          {answer: func() (*http.Response, error) { return answer(503, "{}"), nil }},
		"sessions, a lost connection": {answer: func() (*http.Response, error) { return nil, syscall.ECONNRESET }},
		"calls, a status":             {lasts: true, answer: func() (*http.Response, error) { return answer(503, "{}"), nil }},
		"calls, a lost connection":    {lasts: true, answer: func() (*http.Response, error) { return nil, syscall.ECONNRESET }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				cred := atEntra(t, func(*http.Request) (*http.Response, error) {
					tries++
					return c.answer()
				})
				vault := alwaysChallenging(200, `{"value":"x"}`)
				l, client := lasting(t, cred, vault, policy.RetryOptions{})
				for range 3 {
					tries = 0
					var s *Session
					var err error
					if c.lasts {
						s, err = read(t.Context(), l, client)
					} else {
						s = open(t, cred, vault)
						_, err = s.Get(t.Context(), "A", "")
					}
					if d := s.Diagnose(t.Context(), StepGet, err); tries != 4 || d.Step != StepAuthenticate {
						t.Errorf("got %d tries and %+v, want 4 and the credential's failure", tries, d)
					}
				}
			})
		})
	}
}

// A session knows a credential of this package, even if it was given its method only.
func TestCredentialsMethodIsKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entra, vault transporter
		want         Diagnosis
	}{
		"Entra refuses": {
			entra: entraGives(401, `{"error":"invalid_client","error_codes":[7000215]}`), vault: alwaysChallenging(200, `{}`),
			want: Diagnosis{Step: StepAuthenticate, Code: "AADSTS7000215", Hint: "set a:ClientSecret (a.json) to the client secret's value, not its ID"},
		},
		"the vault refuses": {
			entra: entraGives(200, goodToken), vault: alwaysChallenging(403, `{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByRbac"}}}`),
			want: Diagnosis{Step: StepGet, Code: "ForbiddenByRbac", Hint: `grant the identity the role "Key Vault Secrets User" on the vault`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := atEntra(t, c.entra)
			l, client := lasting(t, cred, c.vault, policy.RetryOptions{})
			s := open(t, cred, c.vault)
			_, err := s.Get(t.Context(), "A", "")
			check := func(s *Session, err error) {
				t.Helper()
				d := s.Diagnose(t.Context(), StepGet, err)
				if d.Step != c.want.Step || d.Code != c.want.Code || !strings.HasPrefix(d.Hint, c.want.Hint) || d.Identity != applicationID {
					t.Errorf("got  %+v\nwant %+v of %s", d, c.want, applicationID)
				}
			}
			check(s, err)
			for range 2 { // the second call has the token of the first
				check(read(t.Context(), l, client))
			}
		})
	}
}
