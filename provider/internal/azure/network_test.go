package azure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/netcause"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

// TestNetworkCauses meets every cause on the way to the vault and on the way to Entra,
// with the credential of kvSetting. Both tell it in the words that httpclient uses.
func TestNetworkCauses(t *testing.T) {
	t.Parallel()
	cases := causetest.Cases(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			defer c.Transport.CloseIdleConnections()
			faulty := &http.Client{Transport: c.Transport}
			toVault := openAt(t, "https://"+causetest.Host, &credential{}, faulty)
			toEntra := openAt(t, vaultURL, secretAt(t, "https://"+causetest.Host, faulty), &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return challenged(r, goodChallenge)
			})})
			for step, s := range map[string]*Session{StepList: toVault, StepAuthenticate: toEntra} {
				d := s.Diagnose(t.Context(), StepList, list(t.Context(), s))
				address := "VaultURL"
				if step == StepAuthenticate {
					address = authority
				}
				what := causetest.General(d.Reason, address)
				if step == StepAuthenticate && c.Kind != netcause.Page && !strings.Contains(c.What, "HOST") {
					what = strings.TrimPrefix(what, "HOST: ") // which of Entra's
				}
				if d.Step != step || what != c.What {
					t.Errorf("%s: got  %s: %s\nwant %s", step, d.Step, what, c.What)
				}
				if cure := causetest.General(d.Hint, address); cure != c.Cure {
					t.Errorf("%s: got the cure %s\nwant         %s", step, cure, c.Cure)
				}
				if text := logtest.Reachable(d); strings.Contains(text, causetest.Canary) {
					t.Errorf("%s: got a server's words or a password behind the error, want them nowhere: %s", step, text)
				}
			}
		})
	}
}

// openAt is a session with the vault at an address.
func openAt(t *testing.T, address string, cred azcore.TokenCredential, carrier policy.Transporter) *Session {
	t.Helper()
	var client azsecrets.ClientOptions
	client.Transport, client.Retry.RetryDelay = carrier, time.Millisecond
	s, err := Open(Options{VaultURL: address, Credential: cred, Client: client, Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// secretAt is the credential that kvSetting makes, with Entra at an address.
func secretAt(t *testing.T, address string, carrier policy.Transporter) azcore.TokenCredential {
	t.Helper()
	var options azidentity.ClientSecretCredentialOptions
	options.Cloud.ActiveDirectoryAuthorityHost, options.DisableInstanceDiscovery = address, true
	options.Transport, options.Retry.RetryDelay = carrier, time.Millisecond
	cred, closeAll, err := ClientSecret(tenantGUID, "client", "secret", Names{}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAll)
	return cred
}

// TestFailsAtOnce shows what is not tried again, and how often the rest is.
func TestFailsAtOnce(t *testing.T) {
	t.Parallel()
	notFound := &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}
	proxy := netcause.RefusedByProxy(t.Context(), &url.URL{Host: "p"}, nil, &http.Response{StatusCode: http.StatusBadGateway})
	cases := []struct {
		name string
		err  error
		want int
	}{
		{"alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, 1},
		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, 1},
		{"a proxy's certificate", &net.OpError{Op: "proxyconnect", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, 1},
		{"not TLS", http.ErrSchemeMismatch, 1},
		{"proxy", proxy, 1},
		{"unknown host", notFound, 2},
		{"DNS fails", &net.DNSError{Err: "server misbehaving", Name: "x"}, 4},
		{"reset", syscall.ECONNRESET, 4},
		{"a quoting error", errQuoting, 4},
		{"nothing", nil, 4},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := open(t, &credential{}, transporter(func(*http.Request) (*http.Response, error) {
				asked++
				return nil, c.err
			}))
			_, err := s.Get(t.Context(), "A", "")
			if d := s.Diagnose(t.Context(), StepGet, err); d.Hint == "" || asked != c.want {
				t.Errorf("%v after %d tries, want %d", err, asked, c.want)
			}
			if c.err == nil && !errors.Is(err, errNothing) && !strings.Contains(fmt.Sprint(err), errNothing.Error()) {
				t.Errorf("got %v, want %v", err, errNothing)
			}
		})
	}
}

// A page in the place of an answer is not tried again, whatever its status, and a vault
// that fails with a page is.
func TestPages(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{200: 1, 403: 1, 404: 1, 503: 4} {
		asked := 0
		s := open(t, &credential{}, transporter(func(*http.Request) (*http.Response, error) {
			asked++
			return answer(status, "<html>"+canary), nil
		}))
		_, err := s.Get(t.Context(), "A", "")
		d := s.Diagnose(t.Context(), StepGet, err)
		if asked != want || d.StatusCode != status || strings.Contains(d.Reason, "HTML page") != (want == 1) {
			t.Errorf("%d: got %+v after %d tries, want %d", status, d, asked, want)
		}
	}
}

// A proxy's refusal has the proxy's status.
func TestStatusOfAProxy(t *testing.T) {
	t.Parallel()
	refused := netcause.RefusedByProxy(t.Context(), &url.URL{Host: "p"}, nil, &http.Response{StatusCode: http.StatusForbidden})
	s := open(t, &credential{}, transporter(func(*http.Request) (*http.Response, error) { return nil, refused }))
	_, err := s.Get(t.Context(), "A", "")
	if d := s.Diagnose(t.Context(), StepGet, err); d.StatusCode != http.StatusForbidden || strings.Contains(d.Hint, "role") {
		t.Errorf("got %+v, want the status 403 and no word about a role", d)
	}
}

// A private endpoint's name is no vault's, whoever finds it out.
func TestPrivateEndpoint(t *testing.T) {
	t.Parallel()
	const address = "https://my-vault.privatelink.vaultcore.azure.net"
	s := openAt(t, address, &credential{}, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return challenged(r, goodChallenge)
	})})
	_, err := s.Get(t.Context(), "A", "")
	d := s.Diagnose(t.Context(), StepGet, err)
	const want = "set VaultURL to the vault's own name https://my-vault.vault.azure.net, which DNS inside the network resolves to the private endpoint"
	if d.Hint != want || d.Reason != "the host is not one of Azure Key Vault's" {
		t.Errorf("got %s - %s, want %s", d.Hint, d.Reason, want)
	}
}
