package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// TestGateOpensForATokenOnly holds that a refused credential is not asked again by
// the requests that wait.
func TestGateOpensForATokenOnly(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("refused")} {
		g := newGate()
		token, got := gatedCredential{&credential{err: err}, g}.GetToken(t.Context(), policy.TokenRequestOptions{})
		opened := false
		select {
		case <-g.opened:
			opened = true
		default:
		}
		if !errors.Is(got, err) || opened != (err == nil) || (token.Token != "") != (err == nil) {
			t.Errorf("got the token %q, %v and the gate open: %v, want the error %v or else a token and an open gate", token.Token, got, opened, err)
		}
	}
}

// A request that is not the first waits for the first one's token or secret.
func TestWait(t *testing.T) {
	t.Parallel()
	value := "v"
	s := Wrap(fake{get: func(context.Context) (azsecrets.GetSecretResponse, error) {
		return azsecrets.GetSecretResponse{Secret: azsecrets.Secret{Value: &value}}, nil
	}}, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := s.Get(t.Context(), "A", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err != nil {
		t.Errorf("after the first request: got %v, want no error", err)
	}
	if err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("open, and the context over: got %v, want context.Canceled", err)
	}
}

func pages(next func() (azsecrets.ListSecretPropertiesResponse, error), more func() bool) func() *azruntime.Pager[azsecrets.ListSecretPropertiesResponse] {
	return func() *azruntime.Pager[azsecrets.ListSecretPropertiesResponse] {
		return azruntime.NewPager(azruntime.PagingHandler[azsecrets.ListSecretPropertiesResponse]{
			More: func(azsecrets.ListSecretPropertiesResponse) bool { return more() },
			Fetcher: func(context.Context, *azsecrets.ListSecretPropertiesResponse) (azsecrets.ListSecretPropertiesResponse, error) {
				return next()
			},
		})
	}
}

// TestDeafClient holds that no call of a client that ignores its context outlives
// the load.
func TestDeafClient(t *testing.T) {
	t.Parallel()
	none := azsecrets.ListSecretPropertiesResponse{}
	for name, deaf := range map[string]func(wake chan struct{}) (fake, func(context.Context, *Session) error){
		"get": func(wake chan struct{}) (fake, func(context.Context, *Session) error) {
			return fake{get: func(context.Context) (azsecrets.GetSecretResponse, error) {
				<-wake
				return azsecrets.GetSecretResponse{}, nil
			}}, getA
		},
		"make a pager": func(wake chan struct{}) (fake, func(context.Context, *Session) error) {
			return fake{pager: func() *azruntime.Pager[azsecrets.ListSecretPropertiesResponse] {
				<-wake
				return nil
			}}, list
		},
		"fetch a page": func(wake chan struct{}) (fake, func(context.Context, *Session) error) {
			return fake{pager: pages(func() (azsecrets.ListSecretPropertiesResponse, error) {
				<-wake
				return none, nil
			}, func() bool { return false })}, list
		},
		"tell whether there are more": func(wake chan struct{}) (fake, func(context.Context, *Session) error) {
			return fake{pager: pages(func() (azsecrets.ListSecretPropertiesResponse, error) { return none, nil }, func() bool {
				<-wake
				return false
			})}, list
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				wake := make(chan struct{})
				defer close(wake)
				client, call := deaf(wake)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				start := time.Now()
				if err := call(ctx, Wrap(client, "")); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
					t.Errorf("%v after %v, want the deadline after 3s", err, time.Since(start))
				}
			})
		})
	}
}

func getA(ctx context.Context, s *Session) error {
	_, err := s.Get(ctx, "A", "")
	return err
}

func list(ctx context.Context, s *Session) error {
	for _, err := range s.Pages(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// A call that ends its goroutine, as t.FailNow does, is an error.
func TestClientEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	s := Wrap(fake{get: func(context.Context) (azsecrets.GetSecretResponse, error) {
		runtime.Goexit()
		return azsecrets.GetSecretResponse{}, nil
	}}, "")
	_, err := s.Get(t.Context(), "A", "")
	if d := s.Diagnose(t.Context(), StepGet, err); d.Reason != errEnded.Error() {
		t.Errorf("got %+v, want the reason %q", d, errEnded)
	}
}

// A listing may be left before its end.
func TestListingIsLeft(t *testing.T) {
	t.Parallel()
	fetched := 0
	s := Wrap(fake{pager: pages(func() (azsecrets.ListSecretPropertiesResponse, error) {
		fetched++
		return azsecrets.ListSecretPropertiesResponse{}, nil
	}, func() bool { return true })}, "")
	for range s.Pages(t.Context()) {
		break
	}
	if fetched != 1 {
		t.Errorf("%d pages were fetched, want 1", fetched)
	}
}

// TestDomainAsTenant shows that a domain is left to Entra, and a GUID is compared
// without case.
func TestDomainAsTenant(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "a"}))
	defer srv.Close()
	for tenant, want := range map[string]string{
		srv.TenantID():                  "",
		strings.ToUpper(srv.TenantID()): "",
		srv.TenantDomain():              "",
		"nowhere.example":               "AADSTS90002",
	} {
		cred, closeAll, err := ClientSecret(tenant, srv.ClientID(), srv.ClientSecret(), Names{}, srv.CredentialOptions())
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll()
		s, err := Open(Options{VaultURL: srv.VaultURL(), Credential: cred, Client: srv.ClientOptions()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Get(t.Context(), "A", "")
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", tenant, err)
			}
			continue
		}
		if d := s.Diagnose(t.Context(), StepGet, err); d.Step != StepAuthenticate || d.Code != want || !strings.Contains(d.Reason, "Entra knows no such tenant") {
			t.Errorf("%s: got %+v, want the code %s", tenant, d, want)
		}
	}
	if _, _, err := ClientSecret("no tenant", "c", "s", Names{}, srv.CredentialOptions()); err == nil {
		t.Error("got a credential for a tenant with a space, want an error")
	}
}

// TestClientSecretIsNotPrinted prints the credential in every way.
func TestClientSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	cred, closeAll, err := ClientSecret(tenantGUID, "client", canary, Names{}, azidentity.ClientSecretCredentialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	own, ok := cred.(*clientSecret)
	if !ok {
		t.Fatalf("got a %T, want a *clientSecret", cred)
	}
	own.TokenCredential = nil // the SDK's own keeps the secret in plain fields
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, own); strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s: got %s, want no secret in it", verb, text)
		}
	}
	if own.secret() != canary {
		t.Error("the secret is not kept")
	}
}

// TestTokenIsNotPrinted prints a session that has a token.
func TestTokenIsNotPrinted(t *testing.T) {
	t.Parallel()
	s := open(t, &credential{}, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return challenged(r, goodChallenge)
	})})
	_, _ = s.Get(t.Context(), "A", "")
	if token := s.gate.token.Load(); token == nil || *token != "token-for-tests-only" {
		t.Fatalf("the token is not kept: %v", token)
	}
	if text := fmt.Sprintf("%v %+v %#v %+v", s.gate, s.gate, s.gate, struct{ g *gate }{s.gate}); strings.Contains(text, "token-for-tests-only") {
		t.Error(text)
	}
}

// TestPanics shows that a panic in code that is not ours becomes an error which
// holds the stack and not the value.
func TestPanics(t *testing.T) {
	t.Parallel()
	panicky := Wrap(fake{get: func(context.Context) (azsecrets.GetSecretResponse, error) { panic(canary) }}, "")
	_, err := panicky.Get(t.Context(), "A", "")
	var panicked *PanicError
	if !errors.As(err, &panicked) || !strings.Contains(string(panicked.Stack), "TestPanics") || strings.Contains(string(panicked.Stack)+err.Error(), canary) {
		t.Errorf("got %v, want the stack without the value", err)
	}
	if d := panicky.Diagnose(t.Context(), StepGet, err); d.Reason != meaningOf(kindPanic) || d.Hint == "" || d.Step != StepGet {
		t.Errorf("got %+v, want a panic told of, with a hint", d)
	}
	s := open(t, panickyCredential{}, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return challenged(r, goodChallenge)
	})})
	_, err = s.Get(t.Context(), "A", "")
	if d := s.Diagnose(t.Context(), StepGet, err); d.Reason != meaningOf(kindPanic) || d.Step != StepAuthenticate {
		t.Errorf("got %+v, want a panic of the credential", d)
	}
}

type panickyCredential struct{}

func (panickyCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	panic(canary)
}

// A 401 of Entra's with a challenge is a refusal, whatever the challenge says.
func TestEntrasChallenge(t *testing.T) {
	t.Parallel()
	var options azidentity.ClientSecretCredentialOptions
	options.DisableInstanceDiscovery = true
	options.Transport = transporter(func(r *http.Request) (*http.Response, error) {
		resp := answer(401, `{"error":"invalid_client","error_codes":[7000215]}`)
		resp.Header.Set("WWW-Authenticate", `Basic realm="x"`)
		return resp, nil
	})
	cred, closeAll, err := ClientSecret(tenantGUID, "client", "secret", Names{}, options)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	s := open(t, cred, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return challenged(r, goodChallenge)
	})})
	_, err = s.Get(t.Context(), "A", "")
	if d := s.Diagnose(t.Context(), StepGet, err); d.Code != "AADSTS7000215" || d.StatusCode != 401 {
		t.Errorf("got %+v, want 401 AADSTS7000215", d)
	}
}

// Only a first request that succeeded lets the others go: after a failure they would
// each ask for nothing.
func TestFailureHoldsTheOthersBack(t *testing.T) {
	t.Parallel()
	value := "v"
	for name, c := range map[string]struct {
		answer azsecrets.GetSecretResponse
		err    error
		opens  bool
	}{
		"a secret":  {answer: azsecrets.GetSecretResponse{Secret: azsecrets.Secret{Value: &value}}, opens: true},
		"no value":  {},
		"a failure": {err: errors.New("no")},
	} {
		s := Wrap(fake{get: func(context.Context) (azsecrets.GetSecretResponse, error) { return c.answer, c.err }}, "")
		_, err := s.Get(t.Context(), "A", "")
		if (err == nil) != c.opens {
			t.Errorf("%s: got error %v, want one: %t", name, err, !c.opens)
		}
		opened := false
		select {
		case <-s.gate.opened:
			opened = true
		default:
		}
		if opened != c.opens {
			t.Errorf("%s: got the gate open %t, want %t", name, opened, c.opens)
		}
	}
}
