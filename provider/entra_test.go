package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func toEntra(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") }

// What goes wrong at Entra, through the credential that kvSetting makes.
func TestEntraErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		fault  faulttest.Fault
		change func(*provider.ConnectConfig)
		want   string
	}{
		{
			name: "dropped connection", fault: faulttest.Fault{Drop: true, Times: -1},
			want: "try again later; if it stays so, a proxy or firewall on the way cuts the connection - authenticate for VAULT: pipe.invalid: the connection ended before the answer did",
		},
		{
			name: "an answer that is too large", fault: faulttest.Fault{Status: 200, Body: strings.Repeat("canary", 1<<20), Times: -1},
			want: "check the authority's address and kvSetting:TenantId, and that no proxy or log-in page answers instead - authenticate for VAULT: the answer is larger than a key vault's can be",
		},
		{
			name: "429", fault: faulttest.Fault{Status: 429, Body: `{"error":"canary"}`, Times: -1},
			want: "start fewer instances at once - authenticate for VAULT: 429 canary: Entra is asked for too many tokens",
		},
		{
			name: "429 for longer than there is time", fault: faulttest.Fault{Status: 429, Header: http.Header{"Retry-After": {"50"}}, Times: -1},
			want: "start fewer instances at once - authenticate for VAULT: 429 Too Many Requests: Entra is asked for too many tokens",
		},
		{
			name: "a time-out of the user's client", fault: faulttest.Fault{Hang: true, Times: -1},
			change: func(c *provider.ConnectConfig) {
				client := *c.CredentialOptions.Transport.(*http.Client)
				client.Timeout = time.Second
				c.CredentialOptions.Transport = &client
			},
			want: "check the egress rules, the firewall and the proxy - authenticate for VAULT: pipe.invalid: no answer in time while waiting for the answer",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe()
				defer srv.Close()
				c.fault.Match = toEntra
				srv.Faults.Add(c.fault)
				var log logtest.Buffer
				cfg := connectConfig(srv, &log)
				if c.change != nil {
					c.change(&cfg)
				}
				k := newKoanf(t, map[string]any{"kvSetting": srv.KVSetting()}, ":")
				_, err := provider.ConnectToKeyVault(t.Context(), k, cfg)
				if want := "provider: " + strings.ReplaceAll(c.want, "VAULT", srv.VaultURL()); err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			})
		})
	}
}

// The client secret goes to Entra and nowhere else.
func TestClientSecretStaysHome(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 307, 308} {
		srv := vaulttest.NewServer(vaulttest.WithVaultHost("my-vault.vault.azure.net"))
		t.Cleanup(srv.Close)
		srv.Faults.Add(faulttest.Fault{Match: toEntra, Status: status, Header: http.Header{"Location": {"https://evil.example/steal"}}, Times: -1})
		var visits atomic.Int32
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "evil.example" {
				visits.Add(1)
			}
			return srv.Transport().RoundTrip(r)
		})}
		var log logtest.Buffer
		cfg := connectConfig(srv, &log)
		cfg.CredentialOptions.Transport = client
		k := newKoanf(t, map[string]any{"kvSetting": srv.KVSetting()}, ":")
		if _, err := provider.ConnectToKeyVault(t.Context(), k, cfg); err == nil || visits.Load() != 0 || client.CheckRedirect != nil {
			t.Errorf("%d: got %v and %d visits elsewhere, want an error and no visit", status, err, visits.Load())
		}
	}
}

// A challenge that is not Key Vault's gets no token, though the credential has one.
func TestChallengesThatTrick(t *testing.T) {
	t.Parallel()
	for name, challenge := range map[string]string{
		"a resource without a host":       `Bearer authorization="https://login.microsoftonline.com/t", resource="cfa8b339-82a2-471a-a3c9-0fc0be7a4093"`,
		"a scope without a host":          `Bearer authorization="https://login.microsoftonline.com/t" scope="cfa8b339-82a2-471a-a3c9-0fc0be7a4093/.default" resource="https://vault.azure.net"`,
		"a resource over plain http":      `Bearer authorization="https://login.microsoftonline.com/t", resource="http://vault.azure.net"`,
		"another service's resource":      `Bearer authorization="https://login.microsoftonline.com/t", resource="https://graph.microsoft.com"`,
		"an authorization of commas":      `Bearer authorization=",,", resource="https://vault.azure.net"`,
		"an authorization of a tab":       "Bearer authorization=\t resource=\"https://vault.azure.net\"",
		"an authorization of a quote":     `Bearer authorization="" x", resource="https://vault.azure.net"`,
		"no authorization":                `Bearer resource="https://vault.azure.net"`,
		"claims before any other":         `Bearer error="insufficient_claims", claims="e30="`,
		"an authorization without a path": `Bearer authorization="https://login.microsoftonline.com", resource="https://vault.azure.net"`,
	} {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, named), func(t *testing.T) {
				t.Parallel()
				asked := 0
				client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if asked++; r.Header.Get("Authorization") != "" {
						t.Error("a token was sent")
					}
					return &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {challenge}}, Body: http.NoBody, Request: r}, nil
				})}
				cred := &countingCredential{}
				cfg := provider.Config{
					VaultURL: "https://my-vault.vault.azure.net", Credential: cred.GetToken, Logger: (&logtest.Buffer{}).Logger(),
					ClientOptions: azsecretsOptions(client),
				}
				if named {
					cfg.Secrets = []string{"A", "B"}
				}
				most := 1
				if strings.HasPrefix(name, "claims") {
					most = 2 // the SDK asks once more, without a token
				}
				if _, err := kvVault(t, cfg).ReadContext(t.Context()); err == nil || asked > most {
					t.Errorf("got %v after %d requests, want an error after %d", err, asked, most)
				}
				if n := cred.asked.Load(); n != 0 {
					t.Errorf("the credential was asked for %d tokens, want none", n)
				}
			})
		}
	}
	for _, address := range []string{"https://evil.example.", "https://my-vault.vault.azure.net.", "https://evil.example.:443/"} {
		_, err := provider.KeyVault(provider.Config{VaultURL: address, Credential: staticCredential{}.GetToken})
		if err == nil || err.Error() != "provider: VaultURL has a host that ends with a dot: remove it" {
			t.Errorf("%s: got %v, want the dot refused", address, err)
		}
	}
}

// countingCredential gives a token, and counts.
type countingCredential struct {
	tokenCredential
	asked atomic.Int32
}

func (c *countingCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.asked.Add(1)
	return c.tokenCredential.GetToken(ctx, options)
}

// TestUnknownTenant sets a TenantId that looks right and that Entra does not know.
func TestUnknownTenant(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for tenant, want := range map[string]string{
		"nowhere.example": "set kvSetting:TenantId to the directory (tenant) ID, a GUID, or to one of the tenant's domains - authenticate for VAULT as application " + srv.ClientID() +
			": 400 AADSTS90002: Entra knows no such tenant; the vault's tenant is " + srv.TenantID(),
		someOtherTenant: "use a credential of the tenant that the vault's subscription belongs to: check kvSetting:TenantId - authenticate for VAULT: " +
			"the credential is for another tenant than the vault's; the vault's tenant is " + srv.TenantID() + ", the credential's " + someOtherTenant,
	} {
		var log logtest.Buffer
		k := newKoanf(t, map[string]any{"kvSetting": with(srv, map[string]any{"TenantId": tenant})}, ":")
		_, err := provider.ConnectToKeyVault(t.Context(), k, connectConfig(srv, &log))
		if want := "provider: " + strings.ReplaceAll(want, "VAULT", srv.VaultURL()); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

const someOtherTenant = "00000000-0000-4000-8000-00000000bbbb"

// A chain of credentials tells why each of them failed, by its first line.
func TestCredentialChain(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	chain, err := azidentity.NewChainedTokenCredential([]azcore.TokenCredential{
		failing{azidentity.NewCredentialUnavailableError("FirstCredential: executable not found on path")},
		failing{azidentity.NewCredentialUnavailableError("SecondCredential: no identity here\n{\"canary\": 1}")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := kvConfig(t, srv)
	cfg.Credential = chain.GetToken
	_, err = kvVault(t, cfg).Read()
	want := "provider: give this machine one of these identities, or set kvSetting's ClientId, TenantId and ClientSecret; AZURE_SDK_GO_LOGGING=all tells more - " +
		"authenticate for " + srv.VaultURL() + ": no credential of the chain gave a token; FirstCredential: executable not found on path; SecondCredential: no identity here"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

type failing struct{ err error }

func (f failing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, f.err
}

// A time-out names a secret that was asked for, if any.
func TestTimeoutNamesWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		for i := range 20 {
			srv.Set(fmt.Sprintf("S%d", i), "x")
		}
		srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1, Match: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/secrets/S") }})
		cfg := kvConfig(t, srv)
		cfg.Concurrency = 2
		_, err := kvVault(t, cfg).ReadContext(t.Context())
		var failed *provider.Error
		if !errors.As(err, &failed) || srv.Stats().GetsByName[failed.Secret] == 0 {
			t.Errorf("got %v, want the name of one of those that were asked for: %v", err, srv.Stats().GetsByName)
		}
	})
}

// A host that does not exist is told of after one more try.
func TestUnknownHostIsToldSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		cfg := provider.Config{VaultURL: "https://nowhere.vault.azure.net", Credential: staticCredential{}.GetToken, ClientOptions: azsecretsOptions(&http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				asked++
				return nil, notFound("nowhere.vault.azure.net")
			}),
		})}
		_, err := kvVault(t, cfg).ReadContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), "lookup nowhere.vault.azure.net: no such host") || asked != 2 {
			t.Errorf("got %v after %d tries, want the unknown host after 2", err, asked)
		}
	})
}

// Through a client of the user's own, named secrets need no challenge to wait for.
func TestNamedSecretsThroughAClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &kvFake{secrets: []kvSecret{{name: "A", value: "1"}, {name: "B", value: "2"}, {name: "C", value: "3"}}}
		vault, err := provider.KeyVaultWithClient(fake, provider.Config{Secrets: []string{"A", "B", "C"}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if got, err := vault.Read(); err != nil || len(got) != 3 || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %v, want three secrets at once", got, err, time.Since(start))
		}
	})
}

// A pager that never ends is ended.
func TestPagerWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, err := provider.KeyVaultWithClient(endless{&kvFake{}}, provider.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Read(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		<-time.After(time.Second) // the page that was under way
	})
}

// Keys that Map makes nest at colons too: koanf would find two things under one
// path, and one or the other by chance.
func TestMapWithColons(t *testing.T) {
	t.Parallel()
	fake := &kvFake{secrets: []kvSecret{{name: "one", value: "1"}, {name: "two", value: "2"}}}
	vault, err := provider.KeyVaultWithClient(fake, provider.Config{Logger: (&logtest.Buffer{}).Logger(), Map: func(name, value string) (string, any) {
		if name == "one" {
			return "Foo", map[string]any{"Bar:Baz": value}
		}
		return "foo:bar--qux", value
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := vault.Read()
	if fmt.Sprint(got) != "map[Foo:map[Bar:map[Baz:1 qux:2]]]" || err != nil {
		t.Errorf("got %v, %v, want both below Foo:Bar", got, err)
	}
}

// A Config prints no password that was pasted into an address.
func TestConfigPrintsNoPassword(t *testing.T) {
	t.Parallel()
	cfg := provider.Config{VaultURL: "https://me:" + canary + "@v.example/?x=" + canary}
	if text := fmt.Sprintf("%v %+v %#v %s", cfg, cfg, &cfg, cfg); strings.Contains(text, canary) {
		t.Error(text)
	}
}
