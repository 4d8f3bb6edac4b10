package azure

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// The vault's tenant is told when it may be why the credential is refused, and only if
// it is a GUID that differs from the credential's.
func TestVaultsTenant(t *testing.T) {
	t.Parallel()
	const other = "00000000-0000-4000-8000-00000000bbbb"
	unauthorized := func() error {
		return refusal(401, "Unauthorized", `{"error":{"message":"AKV10032: Invalid issuer."}}`)
	}
	tenant := func() error { return errors.New("isn't configured to acquire tokens for tenant") }
	forbidden := func() error { return refusal(403, "ForbiddenByRbac", "") }
	for name, c := range map[string]struct {
		challenge, tenant string
		err               func() error
		want              string
	}{
		"differs":                    {goodChallenge, other, unauthorized, "401 AKV10032; the vault's tenant is " + tenantGUID + ", the credential's " + other},
		"differs, by the SDK":        {goodChallenge, other, tenant, "the credential is for another tenant than the vault's; the vault's tenant is " + tenantGUID + ", the credential's " + other},
		"a domain's":                 {goodChallenge, "contoso.no", unauthorized, "401 AKV10032; the vault's tenant is " + tenantGUID},
		"no credential of ours":      {goodChallenge, "", unauthorized, "401 AKV10032; the vault's tenant is " + tenantGUID},
		"the same":                   {strings.Replace(goodChallenge, tenantGUID, strings.ToUpper(tenantGUID), 1), tenantGUID, unauthorized, "401 AKV10032"},
		"not a GUID":                 {strings.Replace(goodChallenge, tenantGUID, canary, 1), other, unauthorized, "401 AKV10032"},
		"another refusal":            {goodChallenge, other, forbidden, "403 ForbiddenByRbac"},
		"no challenge, but a tenant": {"", other, tenant, "the credential is for another tenant than the vault's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, &credential{}, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return challenged(r, c.challenge)
			})})
			_, _ = s.Get(t.Context(), "A", "")
			if c.tenant != "" {
				s.gate.asks(&clientSecret{tenant: c.tenant, secret: func() string { return "secret" }, wire: newWire(nil, new(policy.RetryOptions))})
			}
			if d := s.Diagnose(t.Context(), StepGet, c.err()); d.Reason != c.want {
				t.Errorf("got  %s\nwant %s", d.Reason, c.want)
			}
		})
	}
}

// A refusal names the application that was refused, if its id is one.
func TestRefusedApplication(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-00000000cccc"
	entra := credentialError{&azidentity.AuthenticationFailedError{RawResponse: answer(400, `{"error":"x","error_codes":[700016]}`)}}
	for name, c := range map[string]struct {
		client string
		err    error
		want   string
	}{
		"by the vault":        {id, refusal(403, "ForbiddenByRbac", ""), id},
		"by Entra":            {id, entra, id},
		"not a GUID":          {canary, refusal(403, "ForbiddenByRbac", ""), ""},
		"no refusal":          {id, refusal(503, "", ""), ""},
		"a secret is missing": {id, refusal(404, "SecretNotFound", ""), ""},
	} {
		s := open(t, &credential{}, transporter(nil))
		s.gate.asks(&clientSecret{client: c.client, secret: func() string { return "secret" }, wire: s.wire})
		if d := s.Diagnose(t.Context(), StepGet, c.err); d.Identity != c.want {
			t.Errorf("%s: got %q, want %q", name, d.Identity, c.want)
		}
	}
}
