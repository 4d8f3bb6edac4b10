package vaulttest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestHostsAreApart(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost("My-vault.vault.azure.net"), vaulttest.WithAuthorityHost("login.microsoftonline.com"))
	defer srv.Close()
	if got := get(t, srv, srv.AuthorityURL()+"/secrets?api-version=7.6"); got.status != 404 {
		t.Errorf("secrets at Entra's host: got %d, want 404", got.status)
	}
	if got := get(t, srv, "/secrets?api-version=7.6"); got.status != 200 {
		t.Errorf("secrets at the vault's host: got %d, want 200", got.status)
	}
	if got := do(t, srv, http.MethodGet, "/"+srv.TenantID()+"/v2.0/.well-known/openid-configuration", "", nil); got.status != 404 {
		t.Errorf("metadata at the vault's host: got %d, want 404", got.status)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://my-VAULT.vault.azure.net:8443/secrets", nil)
	w := httptest.NewRecorder()
	if srv.Handler().ServeHTTP(w, req); w.Code != 401 {
		t.Errorf("another spelling of the vault's host, with a port: got %d, want the challenge", w.Code)
	}
	options := srv.ClientOptions()
	if options.DisableChallengeResourceVerification {
		t.Error("the resource check is off for a host of Azure's")
	}
}

func TestMaxConcurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithLatency(time.Second), vaulttest.WithSecrets(map[string]string{"A": ""}))
		defer srv.Close()
		start := time.Now()
		for range 2 {
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() { get(t, srv, "/secrets/A?api-version=7.6") })
			}
			wg.Wait()
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
		if got := srv.Stats(); got.MaxConcurrent != 5 || got.Gets != 10 || got.GetsByName["A"] != 10 {
			t.Errorf("got %+v, want 5 at once and 10 gets of A", got)
		}
		srv.ResetStats()
		if diff := cmp.Diff(vaulttest.Stats{GetsByName: map[string]int{}}, srv.Stats()); diff != "" {
			t.Error(diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.VaultURL()+"/secrets", nil)
		if resp, err := srv.Transport().RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Error("answered before its latency")
		}
	})
}

func TestKVSettingIsComplete(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	want := map[string]any{
		"ClientId": srv.ClientID(), "TenantId": srv.TenantID(),
		"ClientSecret": srv.ClientSecret(), "SecretUri": srv.VaultURL(),
	}
	if diff := cmp.Diff(want, srv.KVSetting()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(srv.ClientSecret(), "test") {
		t.Error("the secret does not say that it is for tests")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithoutList(), vaulttest.WithSecrets(map[string]string{"Secret": "value-of-a-secret"}))
	defer srv.Close()
	if got := srv.Refusals(); len(got) != 0 {
		t.Errorf("got %q before any request, want nothing", got)
	}
	token := srv.IssueToken(vaultResource, time.Hour)
	other := srv.IssueToken("https://graph.microsoft.com", time.Hour)
	const version = "?api-version=7.6"
	do(t, srv, http.MethodGet, "/secrets"+version, "", nil) // the challenge is not a refusal
	do(t, srv, http.MethodGet, "/secrets/Secret"+version, token, nil)
	do(t, srv, http.MethodGet, "/secrets"+version, token, nil)
	do(t, srv, http.MethodGet, "/secrets/None"+version, token, nil)
	do(t, srv, http.MethodGet, "/secrets"+version, other, nil)
	do(t, srv, http.MethodGet, "/secrets"+version, "a-made-up-token", nil)
	form := grantForm(srv)
	form.Set("client_secret", "a-wrong-secret")
	do(t, srv, http.MethodPost, srv.AuthorityURL()+"/"+srv.TenantID()+"/oauth2/v2.0/token", "", form)
	do(t, srv, http.MethodGet, "/secrets/"+strings.Repeat("long", 200)+"/æ"+version, token, nil)
	// The second is cut in the middle of a letter, if the first is not.
	do(t, srv, http.MethodGet, "/secrets/Secret/"+strings.Repeat("å", 400)+version, token, nil)
	do(t, srv, http.MethodGet, "/secrets/Secret/x"+strings.Repeat("å", 400)+version, token, nil)

	got := srv.Refusals()
	for i, want := range []string{
		"vault: 403 ForbiddenByRbac: Caller is not authorized to perform action on resource. If role assignments",
		"vault: 404 SecretNotFound: A secret with (name/id) None was not found in this key vault.",
		"vault: 401 Unauthorized: AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://graph.microsoft.com.",
		"vault: 401 Unauthorized: the token was not issued by this tenant",
		"entra: 401 invalid_client: AADSTS7000215: Invalid client secret provided.",
		"vault: 400 BadParameter: the secret's name is malformed",
		"vault: 404 SecretNotFound: A secret with (name/id) Secret/ååå",
		"vault: 404 SecretNotFound: A secret with (name/id) Secret/xååå",
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("got %q, want refusal %d to begin with %q", got, i, want)
		}
	}
	if n := srv.Stats().Refused; len(got) != 8 || n != 8 {
		t.Errorf("got %d refusals and a count of %d, want 8 of both", len(got), n)
	}
	for _, line := range got {
		if len(line) > 610 || strings.ContainsAny(line, "\r\n") || strings.ToValidUTF8(line, "") != line {
			t.Errorf("got %q, want one line of at most 610 bytes", line)
		}
		for _, hidden := range []string{"value-of-a-secret", token, other, srv.ClientSecret(), "a-wrong-secret", "a-made-up-token"} {
			if strings.Contains(line, hidden) {
				t.Errorf("%q shows %q", line, hidden)
			}
		}
	}
	got[0] = "changed by the caller"
	if again := srv.Refusals(); again[0] == got[0] {
		t.Error("the caller's change reached the server")
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	token := srv.IssueToken(vaultResource, time.Hour)
	for i := range 1005 {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("/secrets/N%d?api-version=7.6", i), nil)
		req.Header.Set("Authorization", "Bearer "+token)
		srv.Handler().ServeHTTP(httptest.NewRecorder(), req)
	}
	got := srv.Refusals()
	if len(got) != 1000 || !strings.Contains(got[0], " N5 ") || !strings.Contains(got[999], " N1004 ") {
		t.Errorf("got %d refusals from %q to %q, want 1000 from N5 to N1004", len(got), got[0], got[len(got)-1])
	}
}

// A program in another language knows the address and the certificate only.
func TestCertificatePEM(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(srv.CertificatePEM()) {
		t.Fatalf("got %q, want a certificate", srv.CertificatePEM())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.VaultURL()+"/secrets", nil)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("got %d, want the challenge", resp.StatusCode)
	}
	pipe := vaulttest.NewPipe()
	defer pipe.Close()
	if got := pipe.CertificatePEM(); got != nil {
		t.Errorf("got %q of a server without TLS, want nil", got)
	}
}

func TestFormatHidesWhatItHolds(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost("v.vault.azure.net"), vaulttest.WithSecrets(map[string]string{"A": "canary"}))
	defer srv.Close()
	token := srv.IssueToken(vaultResource, time.Hour)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		got := fmt.Sprintf(verb, srv)
		if got != "vaulttest.Server(https://v.vault.azure.net)" || strings.Contains(got, token) {
			t.Errorf("%s: got %q", verb, got)
		}
	}
}

func TestNilOption(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(nil, vaulttest.WithSecrets(nil), nil)
	defer srv.Close()
	if got := get(t, srv, "/secrets?api-version=7.6"); got.status != 200 {
		t.Errorf("got %d, want 200", got.status)
	}
}

// Every exported method can be called on a server that was not made by NewServer: no panic.
func TestNilAndZeroServer(t *testing.T) {
	t.Parallel()
	for name, srv := range map[string]*vaulttest.Server{"nil": nil, "zero": new(vaulttest.Server)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := reflect.ValueOf(srv)
			for i := range v.NumMethod() {
				if v.Type().Method(i).Name == "Format" {
					continue // its fmt.State cannot be nil
				}
				args := make([]reflect.Value, v.Method(i).Type().NumIn())
				for j := range args {
					args[j] = reflect.Zero(v.Method(i).Type().In(j))
				}
				v.Method(i).Call(args)
			}
			srv.Set("A", "a")
			srv.RequireClaims(revoked)
			if got := fmt.Sprint(srv); got != "vaulttest.Server()" {
				t.Errorf("got %q", got)
			}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://vault.example/", nil)
			resp, err := srv.Client().Do(req)
			if err == nil {
				resp.Body.Close()
				t.Fatal("got an answer, want an error")
			}
			if !strings.Contains(errors.Unwrap(err).Error(), "NewServer or NewPipe") {
				t.Errorf("got %v, want an error that names NewServer and NewPipe", err)
			}
			for _, path := range []string{"/secrets?api-version=7.6", "/secrets/A", "/common/discovery/instance"} {
				w := httptest.NewRecorder()
				srv.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
				if w.Code < 400 {
					t.Errorf("%s: got %d, want a refusal", path, w.Code)
				}
			}
		})
	}
}
