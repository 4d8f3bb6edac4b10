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
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// TestMalformedAnswers sends what no vault sends, from the vault's own address.
func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	authorized := func(path string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.URL.Path == path && r.Header.Get("Authorization") != "" }
	}
	list, get := authorized("/secrets"), authorized("/secrets/A/")
	challenge := func(text string) faulttest.Fault {
		return faulttest.Fault{Status: 401, Header: http.Header{"WWW-Authenticate": {text}}, Body: "{}"}
	}
	listing := func(body string) faulttest.Fault {
		return faulttest.Fault{Status: 200, Body: body, Match: list, Times: -1}
	}
	const properID = `{"value":[{"id":"https://x/secrets/A"}]`
	cases := []struct {
		name  string
		fault faulttest.Fault
		step  string
		what  string // begins with this
	}{
		{"nothing for a listing", listing(""), "list", "the answer holds no list of secrets, not even an empty one"},
		{"null for a listing", listing("null"), "list", "the answer holds no list of secrets, not even an empty one"},
		{"an empty object for a listing", listing("{}"), "list", "the answer holds no list of secrets, not even an empty one"},
		{"a listing of null", listing(`{"value":null,"nextLink":null}`), "list", "the answer holds no list of secrets, not even an empty one"},
		{"HTML for a listing", listing("<html>canary"), "list", "200 OK: the answer is an HTML page"},
		{"a text for a listing", listing(`"canary"`), "list", "the answer is not the JSON that was expected"},
		{"a number for a value", faulttest.Fault{Status: 200, Body: `{"value":471100815}`, Match: get}, "get A from", "the answer is not the JSON that was expected"},
		{"no value", faulttest.Fault{Status: 200, Body: `{"id":"https://x/secrets/A/1"}`, Match: get}, "get A from", "the answer holds no value"},
		{"empty answer", faulttest.Fault{Status: 200, Match: get}, "get A from", "the answer holds no value"},
		{"null value", faulttest.Fault{Status: 200, Body: `{"value":null}`, Match: get}, "get A from", "the answer holds no value"},
		{"null secret", listing(`{"value":[null]}`), "list", "the listing holds a secret without a proper id"},
		{"no id", listing(`{"value":[{}]}`), "list", "the listing holds a secret without a proper id"},
		{"id without a name", listing(`{"value":[{"id":"https://x/secrets/"}]}`), "list", "the listing holds a secret without a proper id"},
		{"id of a key", listing(`{"value":[{"id":"https://x/keys/A"}]}`), "list", "the listing holds a secret without a proper id"},
		{"id with a bad name", listing(`{"value":[{"id":"https://x/secrets/a%2Fb"}]}`), "list", "the listing holds a secret without a proper id"},
		{"id that is not a URL", listing(`{"value":[{"id":":canary"}]}`), "list", "the listing holds a secret without a proper id"},
		{"page link that is not a URL", listing(properID + `,"nextLink":"https://%zz"}`), "list", "the listing goes on at another host, which must not get the token"},
		{"page link elsewhere", listing(properID + `,"nextLink":"https://evil.example/secrets"}`), "list", "the listing goes on at another host, which must not get the token"},
		{"page link without a scheme", listing(properID + `,"nextLink":"//evil.example/secrets"}`), "list", "the listing goes on at another host, which must not get the token"},
		{"page link to itself", listing(properID + `,"nextLink":"/secrets?a=b"}`), "list", "the listing does not end"},
		{"huge page", listing(`{"value":"` + strings.Repeat("x", 26<<20) + `"}`), "list", "the answer is larger than a key vault's can be"},
		{"truncated page", faulttest.Fault{Status: 200, Body: `{"value":[`, Truncate: true, Match: list, Times: -1}, "list", ""},
		{"challenge without a tenant", challenge(`Bearer authorization="login", resource="https://vault.azure.net"`), "authenticate for", "the answer's challenge is not one of Key Vault's"},
		{"challenge with its scheme inside", challenge(`authBearer orization="login", resource="https://vault.azure.net"`), "authenticate for", "the answer's challenge is not one of Key Vault's"},
		{"challenge without a resource", challenge(`Bearer authorization="https://login/x"`), "authenticate for", "the answer's challenge is not one of Key Vault's"},
		{"odd code", faulttest.Fault{Status: 403, Body: `{"error":{"code":"a\nb canary"}}`, Match: list}, "list", "403 Forbidden"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "canary"}))
			defer srv.Close()
			srv.Faults.Add(c.fault)
			_, err := kvVault(t, kvConfig(t, srv)).Read()
			if want := " - " + c.step + " " + srv.VaultURL() + ": " + c.what; err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v", e, e) + logtest.Reachable(e); strings.Contains(text, "canary") || strings.Contains(text, "471100815") {
					t.Errorf("got a part of an answer in %T, want it nowhere: %s", e, text)
				}
			}
		})
	}
}

// TestTokenStaysHome plays a vault that sends its clients to another server.
func TestTokenStaysHome(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"page link", "redirect", "redirect through the user's client"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var visits, tokens atomic.Int32
			srv := vaulttest.NewServer(vaulttest.WithVaultHost("my-vault.vault.azure.net"), vaulttest.WithAuthorityHost("evil.example"))
			defer srv.Close()
			cfg := kvConfig(t, srv)
			client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "evil.example" {
					visits.Add(1)
					if r.Header.Get("Authorization") != "" {
						tokens.Add(1)
					}
				}
				return srv.Transport().RoundTrip(r)
			})}
			cfg.ClientOptions.Transport = client
			fault := faulttest.Fault{
				Match:  func(r *http.Request) bool { return r.URL.Path == "/secrets" && r.Header.Get("Authorization") != "" },
				Status: 200, Body: `{"value":[],"nextLink":"https://evil.example/secrets"}`,
			}
			if way != "page link" {
				fault.Status, fault.Header = 307, http.Header{"Location": {"https://evil.example/secrets"}}
			}
			srv.Faults.Add(fault)
			if _, err := kvVault(t, cfg).Read(); err == nil {
				t.Error("got no error, want one")
			}
			if visits.Load() != 0 || tokens.Load() != 0 {
				t.Errorf("got %d requests at the other host, %d with a token, want no requests", visits.Load(), tokens.Load())
			}
			if client.CheckRedirect != nil {
				t.Error("got the user's client changed, want it as it was")
			}
		})
	}
}

func TestEndlessListing(t *testing.T) {
	t.Parallel()
	pages := 0
	fake := &kvFake{page: func() (azsecrets.ListSecretPropertiesResponse, error) {
		pages++
		var page azsecrets.ListSecretPropertiesResponse
		page.NextLink = to.Ptr(fmt.Sprintf("https://v.vault.azure.net:443/secrets?page=%d", pages))
		return page, nil
	}}
	vault, err := provider.KeyVaultWithClient(fake, provider.Config{VaultURL: "https://v.vault.azure.net"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = vault.Read()
	if err == nil || !strings.Contains(err.Error(), "the listing does not end") || pages != 1000 {
		t.Errorf("got %v after %d pages, want the listing ended", err, pages)
	}
}

// noPager is a Client that lists nothing, not even an empty page.
type noPager struct{ kvFake }

func (noPager) NewListSecretPropertiesPager(*azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse] {
	return nil
}

func TestOddClients(t *testing.T) {
	t.Parallel()
	odd := errors.New("of the client's own")
	cases := []struct {
		name   string
		client provider.Client
		want   string
	}{
		{"no pager", &noPager{}, "provider: list the key vault: the client's pager is nil"},
		{"list fails", &kvFake{page: func() (azsecrets.ListSecretPropertiesResponse, error) {
			return azsecrets.ListSecretPropertiesResponse{}, odd
		}}, "provider: list the key vault: of the client's own"},
		{"get fails", &kvFake{secrets: []kvSecret{{name: "A"}}, get: func(string) (azsecrets.GetSecretResponse, error) {
			return azsecrets.GetSecretResponse{}, fmt.Errorf("%s: %w", strings.Repeat("x", 400), odd)
		}}, "provider: get A from the key vault: " + strings.Repeat("x", 299) + "… (0 of 1 secrets read)"},
		{"get is refused without a body", &kvFake{secrets: []kvSecret{{name: "A"}}, get: func(string) (azsecrets.GetSecretResponse, error) {
			return azsecrets.GetSecretResponse{}, &azcore.ResponseError{StatusCode: 418, ErrorCode: "Teapot"}
		}}, "provider: get A from the key vault: 418 Teapot (0 of 1 secrets read)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			vault, err := provider.KeyVaultWithClient(c.client, provider.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = vault.Read(); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if strings.HasSuffix(c.name, " fails") && !errors.Is(err, odd) {
				t.Errorf("got %v, want the client's error in its chain", err)
			}
		})
	}
}

// deafCredential does not heed its context.
type deafCredential struct{ wake chan struct{} }

func (c *deafCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	<-c.wake
	return azcore.AccessToken{}, errors.New("too late")
}

func TestDeafCredential(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		cfg := kvConfig(t, srv)
		cred := &deafCredential{wake: make(chan struct{})}
		defer close(cred.wake)
		cfg.Credential = cred.GetToken
		start := time.Now()
		_, err := kvVault(t, cfg).Read()
		if took := time.Since(start); took != 30*time.Second || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), " - authenticate for ") {
			t.Errorf("got %v after %v, want the end of the Timeout", err, took)
		}
	})
}

// TestDeafClient holds that a client which ignores its context does not hold up a
// load, whatever it is asked for, nor does a deaf transport.
func TestDeafClient(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"get", "list", "transport"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				wake := make(chan struct{})
				defer close(wake)
				fake := &kvFake{secrets: []kvSecret{{name: "A"}, {name: "B"}}}
				step := " - list "
				switch way {
				case "get":
					step = " - get "
					fake.get = func(string) (azsecrets.GetSecretResponse, error) {
						<-wake
						return azsecrets.GetSecretResponse{}, nil
					}
				case "list":
					fake.page = func() (azsecrets.ListSecretPropertiesResponse, error) {
						<-wake
						return azsecrets.ListSecretPropertiesResponse{}, nil
					}
				}
				cfg := provider.Config{VaultURL: "https://v.vault.azure.net", Timeout: 7 * time.Second}
				vault, err := provider.KeyVaultWithClient(fake, cfg)
				if way == "transport" {
					cfg.Credential = tokenCredential{}.GetToken
					cfg.ClientOptions.Transport = transporterFunc(func(*http.Request) (*http.Response, error) {
						<-wake
						return nil, errors.New("too late")
					})
					vault, err = provider.KeyVault(cfg)
				}
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				_, err = vault.Read()
				if took := time.Since(start); took != 7*time.Second || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), step) {
					t.Errorf("%v after %v, want the end of the Timeout after 7s", err, took)
				}
			})
		})
	}
}

// TestPanickyClient shows that a panic in a client is an error, and that the log
// has its stack and not its value.
func TestPanickyClient(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	fake := &kvFake{secrets: []kvSecret{{name: "A"}}, get: func(string) (azsecrets.GetSecretResponse, error) { panic(canary) }}
	vault, err := provider.KeyVaultWithClient(fake, provider.Config{Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = vault.Read()
	want := "provider: look at the stack in the log - get A from the key vault: the client, its transport or the credential panicked (0 of 1 secrets read)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "TestPanickyClient") || strings.Contains(text, canary) {
		t.Errorf("got the log %s, want the stack without the value", text)
	}
}

// TestAnyTransporter shows that a transport that is not an *http.Client works.
func TestAnyTransporter(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "a"}))
	defer srv.Close()
	cfg := kvConfig(t, srv)
	cfg.ClientOptions.Transport = transporterFunc((&http.Client{Transport: srv.Transport()}).Do)
	if got := kvRead(t, cfg); got["A"] != "a" {
		t.Errorf("got %v, want the secret", got)
	}
}

// TestResourceCheckStaysOn holds that a host outside Azure needs the SDK's switch.
func TestResourceCheckStaysOn(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	cfg := kvConfig(t, srv)
	cfg.ClientOptions.DisableChallengeResourceVerification = false
	_, err := kvVault(t, cfg).Read()
	if err == nil || !strings.Contains(err.Error(), ": the host is not one of Azure Key Vault's") {
		t.Errorf("got %v, want the refusal of the host", err)
	}
	if stats := srv.Stats(); stats.Tokens != 0 {
		t.Error("got a request for a token, want none")
	}
}
