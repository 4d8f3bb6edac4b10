package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// TestErrorsSayWhatToDo plays what goes wrong in practice, and holds what is said of it.
// VAULT stands for the vault's address.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	path := func(p string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, p) && (r.URL.Host != "" || r.Header.Get("Authorization") != "" || r.Method == http.MethodPost)
		}
	}
	forbidden := func(inner string) string {
		return `{"error":{"code":"Forbidden","message":"canary-body","innererror":{"code":"` + inner + `"}}}`
	}
	cases := []struct {
		name   string
		opts   []vaulttest.Option
		faults []faulttest.Fault
		change func(*testing.T, *vaulttest.Server, *provider.Config)
		want   provider.Error // Vault and Hint are left out: text has them
		text   string
	}{
		{
			name: "no list permission", opts: []vaulttest.Option{vaulttest.WithoutList()},
			want: provider.Error{Step: "list", StatusCode: 403, Code: "ForbiddenByRbac"},
			text: `provider: grant the identity the role "Key Vault Secrets User" on the vault (a new role takes up to 10 minutes), or name the secrets in Secrets, which takes no permission to list - list VAULT: 403 ForbiddenByRbac`,
		},
		{
			name: "no get permission", opts: []vaulttest.Option{vaulttest.WithoutGet()},
			want: provider.Error{Step: "get", Secret: "A", Total: 1, StatusCode: 403, Code: "ForbiddenByRbac"},
			text: `provider: grant the identity the role "Key Vault Secrets User" on the vault (a new role takes up to 10 minutes) - get A from VAULT: 403 ForbiddenByRbac (0 of 1 secrets read)`,
		},
		{
			name:   "access policy",
			faults: []faulttest.Fault{{Status: 403, Body: forbidden("AccessDenied"), Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 403, Code: "AccessDenied"},
			text:   `provider: give the identity the secret permissions Get and List in the vault's access policies, or name the secrets in Secrets, which takes no permission to list - list VAULT: 403 AccessDenied`,
		},
		{
			name: "firewall", opts: []vaulttest.Option{vaulttest.WithFirewall()},
			want: provider.Error{Step: "list", StatusCode: 403, Code: "ForbiddenByFirewall"},
			text: "provider: let the address 203.0.113.7 through the vault's firewall (Networking), or reach the vault by its private endpoint - list VAULT: 403 ForbiddenByFirewall",
		},
		{
			name:   "tenant that the vault does not trust",
			faults: []faulttest.Fault{{Status: 401, Body: `{"error":{"code":"Unauthorized","message":"AKV10032: Invalid issuer. canary-body"}}`, Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 401, Code: "AKV10032"},
			text:   "provider: use a credential of the tenant that the vault's subscription belongs to: check TenantId - list VAULT: 401 AKV10032; the vault's tenant is 00000000-0000-4000-8000-00000000aaaa",
		},
		{
			name:   "token refused",
			faults: []faulttest.Fault{{Status: 401, Body: `{"error":{"code":"Unauthorized"}}`, Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 401, Code: "Unauthorized"},
			text:   "provider: check the tenant and the cloud of the credential - list VAULT: 401 Unauthorized: the vault does not accept the credential's token",
		},
		{
			name: "credential of another tenant", change: withCredential("00000000-0000-4000-8000-000000000001", "", ""),
			want: provider.Error{Step: "authenticate"},
			text: "provider: use a credential of the tenant that the vault's subscription belongs to: check TenantId - authenticate for VAULT: the credential is for another tenant than the vault's; the vault's tenant is 00000000-0000-4000-8000-00000000aaaa",
		},
		{
			name:   "no such tenant",
			faults: []faulttest.Fault{{Status: 400, Body: `{"error":"invalid_request","error_description":"canary-body","error_codes":[90002]}`, Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/openid-configuration") }}},
			want:   provider.Error{Step: "authenticate", StatusCode: 400, Code: "AADSTS90002"},
			text:   "provider: set TenantId to the directory (tenant) ID, a GUID, or to one of the tenant's domains - authenticate for VAULT: 400 AADSTS90002: Entra knows no such tenant; the vault's tenant is 00000000-0000-4000-8000-00000000aaaa",
		},
		{
			name: "wrong client id", change: withCredential("", "someone", ""),
			want: provider.Error{Step: "authenticate", StatusCode: 400, Code: "AADSTS700016"},
			text: "provider: check ClientId and TenantId - authenticate for VAULT: 400 AADSTS700016: there is no such application in the tenant; the vault's tenant is 00000000-0000-4000-8000-00000000aaaa",
		},
		{
			name: "wrong client secret", change: withCredential("", "", "canary-secret"),
			want: provider.Error{Step: "authenticate", StatusCode: 401, Code: "AADSTS7000215"},
			text: "provider: set ClientSecret to the client secret's value, not its ID - authenticate for VAULT: 401 AADSTS7000215: the client secret is wrong",
		},
		{
			name:   "expired client secret",
			change: func(_ *testing.T, srv *vaulttest.Server, _ *provider.Config) { srv.ExpireClientSecret() },
			want:   provider.Error{Step: "authenticate", StatusCode: 401, Code: "AADSTS7000222"},
			text:   "provider: set ClientSecret to the value of a new client secret of the app registration - authenticate for VAULT: 401 AADSTS7000222: the client secret has expired",
		},
		{
			name:   "an application id of the wrong form",
			faults: []faulttest.Fault{{Status: 400, Body: `{"error":"unauthorized_client","error_description":"canary-body","error_codes":[700038]}`, Match: path("/token")}},
			want:   provider.Error{Step: "authenticate", StatusCode: 400, Code: "AADSTS700038"},
			text:   "provider: set ClientId to the application (client) ID of the app registration, a GUID - authenticate for VAULT: 400 AADSTS700038: this cannot be an application's id",
		},
		{
			name:   "unknown API version",
			faults: []faulttest.Fault{{Status: 400, Body: `{"error":{"code":"BadParameter","message":"The specified version (canary-body) is unknown."}}`, Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 400, Code: "BadParameter"},
			text:   "provider: leave ClientOptions.APIVersion empty, or set a version that the vault knows - list VAULT: 400 BadParameter: the vault does not accept the request",
		},
		{
			name:   "404 without a code, listing",
			faults: []faulttest.Fault{{Status: 404, Body: `canary-body`, Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 404},
			text:   "provider: check that VaultURL is a key vault's address, and that no proxy or log-in page answers instead - list VAULT: 404 Not Found",
		},
		{
			name:   "404 without a code, a secret by its name",
			change: func(_ *testing.T, _ *vaulttest.Server, c *provider.Config) { c.Secrets = []string{"A"} },
			faults: []faulttest.Fault{{Status: 404, Body: `canary-body`, Match: path("/A/")}},
			want:   provider.Error{Step: "get", Secret: "A", Total: 1, StatusCode: 404},
			text:   "provider: check the secret's name, and that VaultURL is a key vault's address - get A from VAULT: 404 Not Found (0 of 1 secrets read)",
		},
		{
			name:   "404 without a code, a secret that was listed",
			faults: []faulttest.Fault{{Status: 404, Body: `canary-body`, Match: path("/A/")}},
			want:   provider.Error{Step: "get", Secret: "A", Total: 1, StatusCode: 404},
			text:   "provider: load again: the secret was deleted meanwhile; if it stays so, check that no proxy answers instead of the vault - get A from VAULT: 404 Not Found: the vault listed the secret and then did not have it (0 of 1 secrets read)",
		},
		{
			name: "a secret deleted meanwhile",
			change: func(_ *testing.T, srv *vaulttest.Server, _ *provider.Config) {
				srv.Faults.Add(faulttest.Fault{Times: -1, Match: func(r *http.Request) bool {
					if r.URL.Path == "/secrets/A/" {
						srv.Delete("A")
					}
					return false
				}})
			},
			want: provider.Error{Step: "get", Secret: "A", Total: 1, StatusCode: 404, Code: "SecretNotFound"},
			text: "provider: load again: the secret was deleted meanwhile; if it stays so, check that no proxy answers instead of the vault - get A from VAULT: 404 SecretNotFound: the vault listed the secret and then did not have it (0 of 1 secrets read)",
		},
		{
			name:   "vault's service unknown to the tenant",
			faults: []faulttest.Fault{{Status: 400, Body: `{"error":"invalid_resource","error_codes":[500011]}`, Match: path("/token")}},
			want:   provider.Error{Step: "authenticate", StatusCode: 400, Code: "AADSTS500011"},
			text:   "provider: check the cloud in the credential's options and in ClientOptions - authenticate for VAULT: 400 AADSTS500011: the tenant does not know this vault's service",
		},
		{
			name:   "Entra's answer is not JSON",
			faults: []faulttest.Fault{{Status: 200, Body: `canary-body`, Match: path("/token")}},
			want:   provider.Error{Step: "authenticate"},
			text:   "provider: check the authority's address and TenantId, and that no proxy or log-in page answers instead - authenticate for VAULT: the answer is not the JSON that was expected",
		},
		{
			name:   "Entra is not there",
			faults: []faulttest.Fault{{Status: 404, Body: `canary-body`, Match: path("/token")}},
			want:   provider.Error{Step: "authenticate", StatusCode: 404},
			text:   "provider: check the authority's address and TenantId, and that no proxy or log-in page answers instead - authenticate for VAULT: 404 Not Found",
		},
		{
			name:   "Entra's error without a number",
			faults: []faulttest.Fault{{Status: 503, Body: `{"error":"temporarily_unavailable"}`, Times: -1, Match: path("/token")}},
			change: func(t *testing.T, srv *vaulttest.Server, c *provider.Config) {
				options := srv.CredentialOptions()
				options.Retry.RetryDelay = time.Millisecond
				c.Credential = kvCredential(t, srv.TenantID(), srv.ClientID(), srv.ClientSecret(), options).GetToken
			},
			want: provider.Error{Step: "authenticate", StatusCode: 503, Code: "temporarily_unavailable"},
			text: "provider: try again later - authenticate for VAULT: 503 temporarily_unavailable: the service has a fault of its own",
		},
		{
			name: "unknown host",
			change: func(_ *testing.T, _ *vaulttest.Server, c *provider.Config) {
				c.VaultURL = "https://nowhere.vault.azure.net"
			},
			want: provider.Error{Step: "list"},
			text: "provider: check VaultURL: its host name is misspelt, or this machine's DNS does not know it - list https://nowhere.vault.azure.net: lookup nowhere.vault.azure.net: no such host",
		},
		{
			name: "unknown authority",
			change: func(t *testing.T, srv *vaulttest.Server, c *provider.Config) {
				options := srv.CredentialOptions()
				options.Cloud.ActiveDirectoryAuthorityHost = "https://nowhere.example"
				options.Retry.RetryDelay = time.Millisecond
				c.Credential = kvCredential(t, srv.TenantID(), srv.ClientID(), srv.ClientSecret(), options).GetToken
			},
			want: provider.Error{Step: "authenticate"},
			text: "provider: check the authority's address (AZURE_AUTHORITY_HOST, the credential's options): its host name is misspelt, or this machine's DNS does not know it - authenticate for VAULT: no such host",
		},
		{
			name: "TLS failure", // our own client does not know the test's certificate
			change: func(_ *testing.T, _ *vaulttest.Server, c *provider.Config) {
				c.ClientOptions.Transport, c.ClientOptions.Retry.RetryDelay = nil, time.Hour
			},
			want: provider.Error{Step: "list"},
			text: "provider: install the root certificates on this machine (in a container the package ca-certificates), and that of a proxy that opens TLS - list VAULT: the certificate is not trusted",
		},
		{
			name:   "disabled named secret",
			change: func(_ *testing.T, _ *vaulttest.Server, c *provider.Config) { c.Secrets = []string{"Off"} },
			want:   provider.Error{Step: "get", Secret: "Off", Total: 1, StatusCode: 403, Code: "SecretDisabled"},
			text:   "provider: enable the secret in the vault, or do not name it in Secrets - get Off from VAULT: 403 SecretDisabled (0 of 1 secrets read)",
		},
		{
			name:   "missing named secret",
			change: func(_ *testing.T, _ *vaulttest.Server, c *provider.Config) { c.Secrets = []string{"A", "Nope"} },
			faults: []faulttest.Fault{{Match: path("/Nope/"), Delay: 50 * time.Millisecond}},
			want:   provider.Error{Step: "get", Secret: "Nope", Read: 1, Total: 2, StatusCode: 404, Code: "SecretNotFound"},
			text:   "provider: create the secret in the vault, or correct its name - get Nope from VAULT: 404 SecretNotFound (1 of 2 secrets read)",
		},
		{
			name:   "outage",
			faults: []faulttest.Fault{{Status: 503, Body: `<html>canary-body`, Times: -1, Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 503},
			text:   "provider: try again later - list VAULT: 503 Service Unavailable: the service has a fault of its own",
		},
		{
			name:   "dropped connections",
			faults: []faulttest.Fault{{Drop: true, Times: -1, Match: path("/A/")}},
			want:   provider.Error{Step: "get", Secret: "A", Total: 1},
		},
		{
			name:   "redirect",
			faults: []faulttest.Fault{{Status: 302, Header: http.Header{"Location": {"https://localhost/"}}, Match: path("/secrets")}},
			want:   provider.Error{Step: "list", StatusCode: 302},
			text:   "provider: check that VaultURL is a key vault's address, and that no proxy or log-in page answers instead - list VAULT: 302 Found",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(c.opts...)
			defer srv.Close()
			srv.Set("A", "canary-value")
			srv.SetSecret(vaulttest.Secret{Name: "Off", Disabled: true})
			srv.Faults.Add(c.faults...)
			cfg := kvConfig(t, srv)
			if c.change != nil {
				c.change(t, srv, &cfg)
			}
			_, err := kvVault(t, cfg).Read()
			var got *provider.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			c.want.Vault = cfg.VaultURL
			if diff := cmp.Diff(c.want, *got, cmpopts.IgnoreUnexported(provider.Error{}), cmpopts.IgnoreFields(provider.Error{}, "Hint")); diff != "" {
				t.Error(diff)
			}
			if want := strings.ReplaceAll(c.text, "VAULT", cfg.VaultURL); want != "" && err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			if got.Hint == "" || !strings.HasPrefix(err.Error(), "provider: "+got.Hint+" - ") {
				t.Errorf("got the hint %q in %s, want one at the beginning", got.Hint, err)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := e.Error() + logtest.Reachable(e); strings.Contains(text, "canary") {
					t.Errorf("got a part of an answer in %T, want it nowhere: %s", e, text)
				}
			}
			var refused *azcore.ResponseError
			if got.Step != "authenticate" && got.StatusCode != 0 && (!errors.As(err, &refused) || refused.StatusCode != got.StatusCode || refused.ErrorCode != got.Code) {
				t.Errorf("got the response error %v in the chain, want one with %d and %q", refused, got.StatusCode, got.Code)
			}
		})
	}
}

// withCredential is a credential that differs from the right one in those
// arguments that are set.
func withCredential(tenant, client, secret string) func(*testing.T, *vaulttest.Server, *provider.Config) {
	return func(t *testing.T, srv *vaulttest.Server, c *provider.Config) {
		or := func(a, b string) string {
			if a != "" {
				return a
			}
			return b
		}
		c.Credential = kvCredential(t, or(tenant, srv.TenantID()), or(client, srv.ClientID()), or(secret, srv.ClientSecret()), srv.CredentialOptions()).GetToken
	}
}

// TestIsBounded shows that a load ends in time whatever hangs, and says where.
func TestIsBounded(t *testing.T) {
	t.Parallel()
	metadata := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/openid-configuration") }
	secret := func(r *http.Request) bool { return r.URL.Path == "/secrets/A/" }
	const (
		network = "check the egress rules, the firewall and the proxy"
		raise   = network + ", or raise Timeout - "
	)
	cases := []struct {
		name    string
		fault   faulttest.Fault
		timeout time.Duration
		retry   time.Duration
		ctx     time.Duration
		after   time.Duration
		want    string
	}{
		{
			name: "vault never answers", fault: faulttest.Fault{Hang: true}, after: 30 * time.Second,
			want: raise + "list VAULT: no result within the Timeout of 30s while waiting for the answer",
		},
		{
			name: "own timeout", fault: faulttest.Fault{Hang: true}, timeout: 3 * time.Second, after: 3 * time.Second,
			want: raise + "list VAULT: no result within the Timeout of 3s while waiting for the answer",
		},
		{
			name: "caller's deadline", fault: faulttest.Fault{Hang: true}, ctx: time.Second, after: time.Second,
			want: network + ", or allow it more time - list VAULT: the context's deadline passed while waiting for the answer",
		},
		{
			name: "Entra never answers", fault: faulttest.Fault{Hang: true, Match: metadata}, after: 30 * time.Second,
			want: raise + "authenticate for VAULT: no result within the Timeout of 30s",
		},
		{
			name: "one secret hangs", fault: faulttest.Fault{Hang: true, Match: secret}, after: 30 * time.Second,
			want: raise + "get A from VAULT: no result within the Timeout of 30s while waiting for the answer (1 of 2 secrets read)",
		},
		{
			name: "slow body", fault: faulttest.Fault{Status: 200, Body: "{}", SlowBody: time.Hour, Match: secret}, after: 30 * time.Second,
			want: raise + "get A from VAULT: no result within the Timeout of 30s while reading the answer (1 of 2 secrets read)",
		},
		{
			name: "an outage, and the end of the time between two tries", timeout: 5 * time.Second, retry: 4 * time.Second, after: 5 * time.Second,
			fault: faulttest.Fault{Status: 503, Times: -1, Match: secret},
			want:  "try again later - get A from VAULT: no result within the Timeout of 5s, the last answer being 503 Service Unavailable: the service has a fault of its own (1 of 2 secrets read)",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe(vaulttest.WithSecrets(map[string]string{"A": "", "B": ""}))
				defer srv.Close()
				srv.Faults.Add(c.fault)
				cfg := kvConfig(t, srv)
				cfg.Timeout = c.timeout
				cfg.ClientOptions.Retry.RetryDelay = c.retry
				ctx := t.Context()
				if c.ctx != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.ctx)
					defer cancel()
				}
				start := time.Now()
				_, err := kvVault(t, cfg).ReadContext(ctx)
				if took := time.Since(start); took != c.after {
					t.Errorf("took %v, want %v", took, c.after)
				}
				if !errors.Is(err, context.DeadlineExceeded) || strings.ReplaceAll(err.Error(), srv.VaultURL(), "VAULT") != "provider: "+c.want {
					t.Errorf("got  %v\nwant %s", err, c.want)
				}
			})
		})
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for _, names := range [][]string{nil, {"A", "B"}} {
		cfg := kvConfig(t, srv)
		cfg.Secrets = names
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := kvVault(t, cfg).ReadContext(ctx)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the context was canceled") {
			t.Errorf("got %v, want the context's end", err)
		}
	}
}

func TestTransportsOwnTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
		cfg := kvConfig(t, srv)
		cfg.ClientOptions.Transport = &http.Client{Transport: srv.Transport(), Timeout: time.Second}
		_, err := kvVault(t, cfg).Read()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), ": no answer in time while waiting for the answer") {
			t.Errorf("got %v, want the transport's own time-out", err)
		}
	})
}

// TestThrottledWithinTheTimeout shows that a vault which throttles is asked again
// as long as there is time, and not one second longer.
func TestThrottledWithinTheTimeout(t *testing.T) {
	t.Parallel()
	const hint = "load less with Secrets or Sections, lower Concurrency, or start fewer instances at once - get A from VAULT: "
	cases := []struct {
		name       string
		times      int
		retryAfter string
		delay      time.Duration // of the answer, so that the other secret is read by then
		timeout    time.Duration
		least      time.Duration // how long the load takes, from this
		most       time.Duration // to this
		want       string        // of the error; "" for none
	}{
		{name: "five times", times: 5, least: 14 * time.Second, most: 17 * time.Second},
		{name: "five times, asking for 4 s", times: 5, retryAfter: "4", least: 20 * time.Second, most: 20 * time.Second},
		{name: "a longer Timeout", times: 20, retryAfter: "4", timeout: 2 * time.Minute, least: 80 * time.Second, most: 80 * time.Second},
		{name: "once, asking for 70 s", times: 1, retryAfter: "70", timeout: 2 * time.Minute, least: 70 * time.Second, most: 70 * time.Second},
		{
			name: "to the end", times: -1, least: 20 * time.Second, most: 30 * time.Second,
			want: hint + "429 Throttled: the vault is asked for too much (1 of 2 secrets read)",
		},
		{
			name: "asking for more than there is", times: -1, retryAfter: "31", delay: time.Second, least: time.Second, most: time.Second,
			want: hint + "429 Throttled, asking to wait 31s: the vault is asked for too much (1 of 2 secrets read)",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe(vaulttest.WithSecrets(map[string]string{"A": "a", "B": "b"}))
				defer srv.Close()
				fault := faulttest.Fault{
					Status: 429, Header: http.Header{}, Body: `{"error":{"code":"Throttled"}}`, Times: c.times, Delay: c.delay,
					Match: func(r *http.Request) bool { return r.URL.Path == "/secrets/A/" },
				}
				if c.retryAfter != "" {
					fault.Header.Set("Retry-After", c.retryAfter)
				}
				srv.Faults.Add(fault)
				cfg := kvConfig(t, srv)
				cfg.ClientOptions.Retry.RetryDelay, cfg.Timeout = 0, c.timeout
				start := time.Now()
				_, err := kvVault(t, cfg).Read()
				if took := time.Since(start); took < c.least || took > c.most {
					t.Errorf("took %v, want %v to %v", took, c.least, c.most)
				}
				var text string
				if err != nil {
					text = strings.ReplaceAll(strings.TrimPrefix(err.Error(), "provider: "), srv.VaultURL(), "VAULT")
				}
				if text != c.want {
					t.Errorf("got  %s\nwant %s", text, c.want)
				}
			})
		})
	}
}

// TestEveryLineHasThePrefix joins errors in every way that this package does.
func TestEveryLineHasThePrefix(t *testing.T) {
	t.Parallel()
	_, ofConfig := provider.KeyVault(provider.Config{
		VaultURL: "x", Secrets: []string{"a b", "c d"}, Sections: []string{"e--"}, Concurrency: -1, Timeout: -1,
	})
	_, ofClient := provider.KeyVaultWithClient(nil, provider.Config{VaultURL: "x", Timeout: -1})
	fake := &kvFake{secrets: []kvSecret{{name: "A"}, {name: "A--B"}, {name: "C"}, {name: "C--D"}}}
	vault, err := provider.KeyVaultWithClient(fake, provider.Config{Logger: (&logtest.Buffer{}).Logger()})
	if err != nil {
		t.Fatal(err)
	}
	_, ofNames := vault.Read()
	for _, c := range []struct {
		err   error
		lines int
	}{{ofConfig, 8}, {ofClient, 3}, {ofNames, 2}} {
		if c.err == nil {
			t.Fatal("got no error, want one")
		}
		lines := strings.Split(c.err.Error(), "\n")
		for _, line := range lines {
			if !strings.HasPrefix(line, "provider: ") {
				t.Errorf("got the line %q, want the prefix", line)
			}
		}
		if len(lines) != c.lines {
			t.Errorf("%d lines, want %d: %v", len(lines), c.lines, c.err)
		}
	}
}

// TestNilAndZero calls everything on nothing.
func TestNilAndZero(t *testing.T) {
	t.Parallel()
	var none *provider.Error
	if got := none.Error(); got != "provider: no error" || none.Unwrap() != nil {
		t.Errorf("nil Error: got %q, %v, want no error and no cause", got, none.Unwrap())
	}
	if zero := (&provider.Error{}); zero.Error() != "provider: the key vault" || zero.Unwrap() != nil {
		t.Errorf("zero Error: got %q, want only the prefix", zero)
	}
	for _, vault := range []*provider.Vault{nil, {}} {
		if _, err := vault.Read(); err == nil || err.Error() != "provider: make the Vault with KeyVault or KeyVaultWithClient - this one is empty" {
			t.Errorf("Read: got %v, want how to make a Vault", err)
		}
		if _, err := vault.ReadBytes(); err == nil || !strings.HasPrefix(err.Error(), "provider: ") {
			t.Errorf("ReadBytes: got %v, want an error", err)
		}
		if got := fmt.Sprintf("%v %+v %#v %d", vault, vault, vault, vault); got != strings.TrimSpace(strings.Repeat("provider.Vault() ", 4)) {
			t.Errorf("Format: got %s, want the same for every verb", got)
		}
	}
}
