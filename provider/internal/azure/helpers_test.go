package azure

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/faulttest"
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

const canary = "c4n4ry"

// errQuoting is how net/http's errors come that quote a server.
var errQuoting = fmt.Errorf("malformed HTTP response %q", canary)

var errDial = &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}

// own is the transport that is used unless the caller gives one, taught to trust srv.
func own(t *testing.T, srv *faulttest.Server) (*http.Client, func()) {
	t.Helper()
	carrier, closeAll := newTransport(nil, 7)
	client, ok := carrier.(*http.Client)
	if !ok {
		t.Fatalf("got a %T, want an *http.Client", carrier)
	}
	if srv != nil {
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs = srv.Transport().TLSClientConfig.RootCAs
	}
	return client, closeAll
}

func get(t *testing.T, client *http.Client, address string) *http.Response {
	t.Helper()
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// fake is a client of the caller's.
type fake struct {
	get   func(context.Context) (azsecrets.GetSecretResponse, error)
	pager func() *azruntime.Pager[azsecrets.ListSecretPropertiesResponse]
}

func (f fake) NewListSecretPropertiesPager(*azsecrets.ListSecretPropertiesOptions) *azruntime.Pager[azsecrets.ListSecretPropertiesResponse] {
	if f.pager == nil {
		return nil
	}
	return f.pager()
}

func (f fake) GetSecret(ctx context.Context, _, _ string, _ *azsecrets.GetSecretOptions) (azsecrets.GetSecretResponse, error) {
	if f.get == nil {
		return azsecrets.GetSecretResponse{}, nil
	}
	return f.get(ctx)
}
