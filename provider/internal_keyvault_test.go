package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// TestLoadedSecrets holds what the origins of keys are made from.
func TestLoadedSecrets(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for _, name := range []string{"B--L--0", "b--L--1", "A", "C", "Gone"} {
		srv.Set(name, name)
	}
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	vault, err := KeyVault(Config{
		VaultURL: srv.VaultURL(), Credential: cred.GetToken, ClientOptions: srv.ClientOptions(),
		Map: func(name, value string) (string, any) {
			switch name {
			case "C":
				return "c--d", map[string]any{"y": value, "x": []any{1, 2}}
			case "Gone":
				return "", nil
			}
			return name, value
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := vault.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	got.Walk(func(path []string, n *tree.Node) {
		if want := "secret " + n.Origin.Secret + " of " + srv.VaultURL(); n.Origin.Source != want {
			t.Errorf("%q: got source %q, want %q", path, n.Origin.Source, want)
		}
		sources[strings.Join(path, ":")] = n.Origin.Secret
	})
	want := map[string]string{"A": "A", "B:L:0": "B--L--0", "B:L:1": "b--L--1", "c:d:x:0": "C", "c:d:x:1": "C", "c:d:y": "C"}
	if diff := cmp.Diff(want, sources); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// TestOwnHTTPClient uses the client that is made here against a server whose
// certificate it is taught.
func TestOwnHTTPClient(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	carrier, closeIdle := transporter(nil, 7)
	defer closeIdle()
	client, ok := carrier.(*http.Client)
	if !ok {
		t.Fatalf("got %T", carrier)
	}
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("got %T", client.Transport)
	}
	if transport.MaxIdleConns != 7 || transport.MaxIdleConnsPerHost != 7 || transport.TLSClientConfig.MinVersion != tls.VersionTLS12 || transport.Proxy == nil {
		t.Errorf("got %+v", transport)
	}
	transport.TLSClientConfig.RootCAs = srv.Transport().TLSClientConfig.RootCAs
	resp, err := client.Get(srv.VaultURL() + "/secrets")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || resp.ProtoMajor != 2 {
		t.Errorf("got %d over %s", resp.StatusCode, resp.Proto)
	}
}

type answers struct{ err error }

func (a answers) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token-for-tests"}, a.err
}

// TestGateOpensForATokenOnly holds that a refused credential is not asked again by
// the requests that wait.
func TestGateOpensForATokenOnly(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("refused")} {
		g := newGate()
		token, got := gatedCredential{answers{err}, g}.GetToken(t.Context(), policy.TokenRequestOptions{})
		opened := false
		select {
		case <-g.opened:
			opened = true
		default:
		}
		if !errors.Is(got, err) || opened != (err == nil) || (token.Token != "") != (err == nil) {
			t.Errorf("%v: got %q, %v; opened: %v", err, token.Token, got, opened)
		}
	}
}
