package provider_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

// malformedAnswers are answers with a word that net/http or the SDK would quote.
var malformedAnswers = map[string]string{
	"status line":                  canary + "\r\n\r\n",
	"version":                      "HTTP/" + canary + " 200 OK\r\n\r\n",
	"status code":                  "HTTP/1.1 " + canary + " OK\r\n\r\n",
	"header without a colon":       "HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n",
	"header with a space":          "HTTP/1.1 200 OK\r\n" + canary + " x: y\r\n\r\n",
	"Content-Length":               "HTTP/1.1 200 OK\r\nContent-Length: " + canary + "\r\n\r\n",
	"two Content-Lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2" + canary + "\r\n\r\n",
	"Transfer-Encoding":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + canary + "\r\n\r\n",
	"chunk's length":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n",
	"chunk's end":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx" + canary + "\r\n",
	"trailer":                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n" + canary + "\r\n\r\n",
	"Location":                     "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: https://" + canary + "%zz/\r\n\r\n",
	"compressed body":              "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 21\r\n\r\n" + canary,
	"body that is longer":          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + canary,
	"body that is shorter":         "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + canary,
	"status that is not final":     "HTTP/1.1 101 " + canary + "\r\n\r\n",
	"nothing":                      "",
	"JSON that is a string":        "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n\"" + canary + "\"",
	"refusal in its own words":     "HTTP/1.1 403 " + canary + "\r\nContent-Length: 21\r\nX-Ms-Error-Code: " + canary + "!\r\n\r\n" + canary,
	"challenge":                    "HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer authorization=\"https://login/t\", resource=\"https://" + canary + "%zz\"\r\n\r\n",
	"challenge of another":         "HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer authorization=\"https://login/t\", resource=\"https://" + canary + ".example\"\r\n\r\n",
	"claims that are not base64":   "HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer error=\"insufficient_claims\", claims=\"#" + canary + "\"\r\n\r\n",
	"challenge without a tenant":   "HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer authorization=\"" + canary + "\", resource=\"https://vault.azure.net\"\r\n\r\n",
	"error that is JSON of a sort": "HTTP/1.1 400 X\r\nContent-Length: 29\r\n\r\n{\"error\":\"" + canary + "\" x",
}

// rawServer answers each request with the same bytes, over HTTP/1.1 and TLS.
func rawServer(t *testing.T, answer string) *http.Transport {
	t.Helper()
	srv := faulttest.StartTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("over %s: %v", r.Proto, err)
			return
		}
		_, _ = conn.Write([]byte(answer))
		_ = conn.Close()
	}), "my-vault.vault.azure.net", "login.microsoftonline.com")
	t.Cleanup(srv.Close)
	transport := srv.Transport().Clone()
	transport.ForceAttemptHTTP2, transport.DisableKeepAlives = false, true
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	return transport
}

// TestMalformedAnswersAreNotQuoted sends each answer from the vault and from Entra,
// through every kind of client, transport and credential.
func TestMalformedAnswersAreNotQuoted(t *testing.T) {
	t.Parallel()
	const address = "https://my-vault.vault.azure.net"
	ofClient := func(raw *http.Transport) policy.Transporter { return &http.Client{Transport: raw} }
	bare := func(raw *http.Transport) policy.Transporter { return transporterFunc(raw.RoundTrip) }
	vaultClient := func(carrier policy.Transporter) azsecrets.ClientOptions {
		var options azsecrets.ClientOptions
		options.Transport, options.Retry.RetryDelay = carrier, time.Millisecond
		return options
	}
	// throughEntra lets a vault send its clients to Entra, which answers raw.
	throughEntra := vaultClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 401, Body: http.NoBody, Request: r,
			Header: http.Header{"Www-Authenticate": {`Bearer authorization="https://login.microsoftonline.com/` + someTenant + `", resource="https://vault.azure.net"`}},
		}, nil
	})})
	credentialOptions := func(carrier policy.Transporter) azidentity.ClientSecretCredentialOptions {
		options := azidentity.ClientSecretCredentialOptions{DisableInstanceDiscovery: true}
		options.Transport, options.Retry.RetryDelay = carrier, time.Millisecond
		return options
	}
	vault := func(cfg provider.Config) error {
		v, err := provider.KeyVault(cfg)
		if err != nil {
			return err
		}
		_, err = v.Read()
		return err
	}
	wrapped := func(carrier policy.Transporter) error {
		options := vaultClient(carrier)
		client, err := azsecrets.NewClient(address, tokenCredential{}, &options)
		if err != nil {
			return err
		}
		v, err := provider.KeyVaultWithClient(client, provider.Config{VaultURL: address, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		_, err = v.Read()
		return err
	}
	ways := map[string]func(t *testing.T, raw *http.Transport) error{
		"vault": func(_ *testing.T, raw *http.Transport) error {
			return vault(provider.Config{VaultURL: address, Credential: tokenCredential{}.GetToken, ClientOptions: vaultClient(ofClient(raw))})
		},
		"vault, bare transport": func(_ *testing.T, raw *http.Transport) error {
			return vault(provider.Config{VaultURL: address, Credential: tokenCredential{}.GetToken, ClientOptions: vaultClient(bare(raw))})
		},
		"caller's client":                 func(_ *testing.T, raw *http.Transport) error { return wrapped(ofClient(raw)) },
		"caller's client, bare transport": func(_ *testing.T, raw *http.Transport) error { return wrapped(bare(raw)) },
		"caller's credential": func(t *testing.T, raw *http.Transport) error {
			cred := kvCredential(t, someTenant, "c", "s", credentialOptions(ofClient(raw)))
			return vault(provider.Config{VaultURL: address, Credential: cred.GetToken, ClientOptions: throughEntra})
		},
		"caller's credential, bare transport": func(t *testing.T, raw *http.Transport) error {
			cred := kvCredential(t, someTenant, "c", "s", credentialOptions(bare(raw)))
			return vault(provider.Config{VaultURL: address, Credential: cred.GetToken, ClientOptions: throughEntra})
		},
		"kvSetting's credential": func(t *testing.T, raw *http.Transport) error {
			k := newKoanf(t, map[string]any{"kvSetting": map[string]any{"ClientId": "c", "TenantId": someTenant, "ClientSecret": "s", "SecretUri": address}}, ":")
			_, err := provider.ConnectToKeyVault(t.Context(), k, provider.ConnectConfig{
				Config: provider.Config{ClientOptions: throughEntra}, CredentialOptions: credentialOptions(ofClient(raw)),
			})
			return err
		},
	}
	for name, answer := range malformedAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := rawServer(t, answer)
			for way, load := range ways {
				err := load(t, raw)
				var failed *provider.Error
				if !errors.As(err, &failed) || failed.Hint == "" {
					t.Errorf("%s: got %v, want an error that says what to do", way, err)
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					if text := fmt.Sprintf("%v %+v %#v", e, e, e) + logtest.Reachable(e); strings.Contains(text, canary) {
						t.Errorf("%s: got a part of the answer in %T, want it nowhere: %s", way, e, text)
					}
				}
			}
		})
	}
}

const someTenant = "00000000-0000-4000-8000-00000000aaaa"
