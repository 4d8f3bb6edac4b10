package provider

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// The client that is used unless the user gives one: it follows no redirect, and
// lets go of its connections after a load.
func TestOwnClient(t *testing.T) {
	t.Parallel()
	visits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if visits++; r.URL.Path != "/" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	transport, closeIdle := transporter(nil, 7)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || visits != 1 {
		t.Errorf("status %d after %d visits", resp.StatusCode, visits)
	}
	own := transport.(*http.Client).Transport.(*http.Transport)
	if own.MaxIdleConnsPerHost != 7 || !own.ForceAttemptHTTP2 || own.TLSClientConfig.MinVersion < 0x0303 {
		t.Errorf("%d idle connections, HTTP/2 %v, TLS %x", own.MaxIdleConnsPerHost, own.ForceAttemptHTTP2, own.TLSClientConfig.MinVersion)
	}
	closeIdle()
}

// A load closes what it opened, however it ends.
func TestLoadClosesItsSession(t *testing.T) {
	t.Parallel()
	closed := 0
	cfg, err := Config{}.checked(false)
	if err != nil {
		t.Fatal(err)
	}
	vault := newVault(cfg, func() (session, error) {
		return session{client: listingNothing{}, gate: newGate(), close: func() { closed++ }}, nil
	})
	if _, err := vault.Read(); err == nil || closed != 1 {
		t.Errorf("closed %d times, %v", closed, err)
	}
}

// FuzzChallenge holds the guard against the SDK's own reading of a challenge,
// which panics on an authorization without a path.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{
		`Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"`,
		`Bearer authorization=",,", resource="https://vault.azure.net"`, "Bearer authorization=\t resource=x", `authorization=a=b resource="x"`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {header}}}
		if !challengeIsSound(resp) {
			return
		}
		// As in keyvault/internal v1.2.0, challenge_policy.go.
		values := map[string]string{}
		for _, part := range strings.Split(strings.ReplaceAll(header, "Bearer ", ""), " ") {
			if pair := strings.Split(part, "="); len(pair) == 2 {
				values[pair[0]] = strings.TrimSuffix(strings.ReplaceAll(pair[1], `"`, ""), ",")
			}
		}
		if a := values["authorization"]; a != "" {
			_ = strings.Split(a, "/")[3]
		}
	})
}

// listingNothing is a client without a pager.
type listingNothing struct{ Client }

func (listingNothing) NewListSecretPropertiesPager(*azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse] {
	return nil
}
