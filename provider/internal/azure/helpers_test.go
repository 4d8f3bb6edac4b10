package azure

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/internal/roundtrip"
)

const (
	vaultURL = "https://my-vault.vault.azure.net"
	// tenantGUID is the tenant of goodChallenge.
	tenantGUID    = "00000000-0000-4000-8000-00000000aaaa"
	goodChallenge = `Bearer authorization="https://login.microsoftonline.com/` + tenantGUID + `", resource="https://vault.azure.net"`
)

// credential gives a token, and remembers what it was asked for.
type credential struct {
	err   error
	asked []policy.TokenRequestOptions
}

func (c *credential) GetToken(_ context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.asked = append(c.asked, options)
	return azcore.AccessToken{Token: "token-for-tests-only", ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

type roundTripper = roundtrip.Func

type transporter func(*http.Request) (*http.Response, error)

func (f transporter) Do(r *http.Request) (*http.Response, error) { return f(r) }

// challenged answers a request as a vault does: without a token, with a challenge.
func challenged(r *http.Request, challenge string) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
	if r.Header.Get("Authorization") == "" {
		resp.StatusCode = http.StatusUnauthorized
		resp.Header.Set("WWW-Authenticate", challenge)
	}
	return resp, nil
}

// open is a session over a transport.
func open(t *testing.T, cred azcore.TokenCredential, carrier policy.Transporter) *Session {
	t.Helper()
	var client azsecrets.ClientOptions
	client.Transport, client.Retry.RetryDelay = carrier, time.Millisecond
	s, err := Open(Options{VaultURL: vaultURL, Credential: cred, Client: client, Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
