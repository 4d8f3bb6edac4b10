package azure

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// refusal is the SDK's error for an answer of the vault.
func refusal(status int, code, body string) error {
	return &azcore.ResponseError{StatusCode: status, ErrorCode: code, RawResponse: answer(status, body)}
}

// TestDiagnose takes errors apart that no double makes.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	sdk, err := azsecrets.NewClient(vaultURL, &credential{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	overLong := strings.Repeat("x", 65)
	ours := open(t, &credential{}, transporter(nil))
	callers, sdks := Wrap(fake{}, ""), Wrap(sdk, "")
	late := answer(429, `{}`)
	late.Header.Set("Retry-After", "7")
	final := answer(403, `{}`)
	final.Header.Set("Retry-After", "7")
	cases := []struct {
		name    string
		session *Session
		err     error
		want    Diagnosis
		hint    string
		cause   bool
	}{
		{
			name: "codes inside one another", session: ours,
			err:  refusal(403, "Forbidden", `{"error":{"code":"Forbidden","innererror":{"code":"Middle","innererror":{"code":"Inner"}}}}`),
			want: Diagnosis{StatusCode: 403, Code: "Inner", Reason: "403 Inner"}, hint: cureMay, cause: true,
		},
		{
			name: "an innermost code that does not look like one", session: ours,
			err:  refusal(403, "Forbidden", `{"error":{"innererror":{"code":"Middle","innererror":{"code":"`+overLong+`"}}}}`),
			want: Diagnosis{StatusCode: 403, Code: "Middle", Reason: "403 Middle"}, hint: cureMay, cause: true,
		},
		{
			name: "the firewall's address", session: ours,
			err: refusal(403, "Forbidden", `{"error":{"code":"Forbidden","message":"Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7\r\nCaller: `+canary+`","innererror":{"code":"ForbiddenByFirewall"}}}`),
			want: Diagnosis{
				StatusCode: 403, Code: "ForbiddenByFirewall", Reason: "403 ForbiddenByFirewall",
			}, hint: "let the address 203.0.113.7 through the vault's firewall", cause: true,
		},
		{
			name: "a text in the place of the address", session: ours,
			err:  refusal(403, "ForbiddenByFirewall", `{"error":{"message":"Client address: 203.0.113.777"}}`),
			want: Diagnosis{StatusCode: 403, Code: "ForbiddenByFirewall", Reason: "403 ForbiddenByFirewall"}, hint: "let this machine's address through", cause: true,
		},
		{
			name: "a wait", session: ours,
			err:  &azcore.ResponseError{StatusCode: 429, RawResponse: late},
			want: Diagnosis{StatusCode: 429, Reason: "429 Too Many Requests, asking to wait 7s: the vault is asked for too much"}, hint: "load less with", cause: true,
		},
		{
			name: "a refusal without an answer", session: callers, err: &azcore.ResponseError{StatusCode: 418, ErrorCode: "Teapot"},
			want: Diagnosis{StatusCode: 418, Code: "Teapot", Reason: "418 Teapot"}, cause: true,
		},
		{
			name: "the caller's client, net/http's error", session: callers, err: &url.Error{Op: "Get", URL: "https://x", Err: errQuoting},
			want: Diagnosis{Reason: "no readable answer (*errors.errorString)"}, hint: "check VaultURL and the proxy", cause: true,
		},
		{
			name: "the caller's client, its own error", session: callers, err: fmt.Errorf("mine: %w", io.ErrNoProgress),
			want: Diagnosis{Reason: "mine: multiple Read calls return no data or error"}, cause: true,
		},
		{
			name: "the caller's client, an error of lines", session: callers, err: errors.New("mine:\n" + canary),
			want: Diagnosis{Reason: "mine"},
		},
		{
			name: "the caller's client, an error with control characters", session: callers, err: errors.New("a\x1b[31m\x00b\xff"),
			want: Diagnosis{Reason: "a [31m b?"}, cause: true,
		},
		{
			name: "the SDK's client with a bare transport", session: sdks, err: errQuoting,
			want: Diagnosis{Reason: "no readable answer (*errors.errorString)"}, hint: "check VaultURL and the proxy", cause: true,
		},
		{
			name: "the SDK's client, a known error", session: sdks, err: fmt.Errorf("x %s: %w", canary, io.ErrUnexpectedEOF),
			want: Diagnosis{Reason: "the connection ended before the answer did"}, hint: "try again later", cause: true,
		},
		{
			name: "ours, an error of a policy in ClientOptions", session: ours, err: errors.New("policy says no"),
			want: Diagnosis{Reason: "policy says no"}, cause: true,
		},
		{
			name: "a refusal that is final, with a Retry-After", session: ours,
			err:  &azcore.ResponseError{StatusCode: 403, RawResponse: final},
			want: Diagnosis{StatusCode: 403, Reason: "403 Forbidden"}, hint: cureMay, cause: true,
		},
		{
			name: "an answer that is not kept", session: callers,
			err:  &azcore.ResponseError{StatusCode: 503},
			want: Diagnosis{StatusCode: 503, Reason: "503 Service Unavailable: the service has a fault of its own"}, hint: "try again later", cause: true,
		},
		{
			name: "JSON of another type", session: ours, err: errors.New("unmarshalling type *azsecrets.Secret: " + canary),
			want: Diagnosis{Reason: meaningOf(kindNotJSON)}, hint: "check that VaultURL is a key vault's address",
		},
		{
			name: "claims that are not base64", session: ours, err: errors.New("authentication challenge contains invalid claims: " + canary),
			want: Diagnosis{Step: StepAuthenticate, Reason: errChallenge.Error()}, hint: "check that VaultURL is a key vault's address",
		},
		{
			name: "a credential that says nothing", session: ours,
			err:  credentialError{&azidentity.AuthenticationFailedError{}},
			want: Diagnosis{Step: StepAuthenticate, Reason: "the credential failed"}, hint: "check the network between this machine and Entra",
		},
		{
			name: "Entra's answer with a code of its own words", session: ours,
			err:  credentialError{&azidentity.AuthenticationFailedError{RawResponse: answer(400, `{"error":"two words","error_description":"`+canary+`"}`)}},
			want: Diagnosis{Step: StepAuthenticate, StatusCode: 400, Reason: "400 Bad Request: Entra does not accept the request"}, hint: "check TenantId, ClientId",
		},
		{
			name: "a chain that quotes", session: ours,
			err: credentialError{azidentity.NewCredentialUnavailableError("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n" +
				"\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n" +
				"\tManagedIdentityCredential: Get \"http://169.254.169.254\": malformed HTTP response \"" + canary + "\"\n" +
				"\tOtherCredential: unexpected response \"" + canary + "\"\n\t\t" + canary + "Credential: x\n")},
			want: Diagnosis{Step: StepAuthenticate, Reason: "no credential of the chain gave a token; EnvironmentCredential: missing environment variable AZURE_TENANT_ID; " +
				"ManagedIdentityCredential: Get; OtherCredential: unexpected response"}, hint: "give this machine",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := c.session.Diagnose(t.Context(), StepGet, c.err)
			if c.want.Step == "" {
				c.want.Step = StepGet
			}
			if got.Step != c.want.Step || got.StatusCode != c.want.StatusCode || got.Code != c.want.Code || got.Reason != c.want.Reason {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if !strings.HasPrefix(got.Hint, c.hint) || c.hint == "" && got.Hint != "" || (got.Cause != nil) != c.cause {
				t.Errorf("got the hint %q and the cause %v, want the hint %q and a cause: %v", got.Hint, got.Cause, c.hint, c.cause)
			}
			for e := got.Cause; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%s %v %+v", got.Reason, e, e); strings.Contains(text, canary) {
					t.Errorf("got a quotation in %T, want it nowhere: %s", e, text)
				}
			}
		})
	}
}

// The texts of a user's azidentity credential say what its transport met.
func TestCredentialsTextOnly(t *testing.T) {
	t.Parallel()
	s := open(t, &credential{}, transporter(nil))
	for text, want := range map[string]netcause.Kind{
		`dial tcp: lookup login: no such host`:                                                        netcause.Host,
		`Proxy Authentication Required`:                                                               netcause.ProxyRefused,
		`proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused`:                         netcause.ProxyLost,
		`remote error: tls: handshake failure`:                                                        netcause.Alert,
		`http: server gave HTTP response to HTTPS client`:                                             netcause.NotTLS,
		`tls: failed to verify certificate: x509: certificate signed by unknown`:                      netcause.Authority,
		`tls: failed to verify certificate: x509: certificate is valid for ` + canary + `, not login`: netcause.Name,
		`tls: failed to verify certificate: x509: certificate has expired or is not yet valid: `:      netcause.Expired,
		`tls: failed to verify certificate: of another kind`:                                          netcause.Authority,
		`dial tcp 10.0.0.4:443: connect: connection refused`:                                          netcause.Refused,
		`dial tcp 10.0.0.4:443: i/o timeout`:                                                          netcause.Timeout,
		`dial tcp 10.0.0.4:443: connect: network is unreachable`:                                      netcause.Unreachable,
		`net/http: TLS handshake timeout`:                                                             netcause.Timeout,
		`context deadline exceeded`:                                                                   netcause.Timeout,
		`EOF`:                                                                                         netcause.Closed,
	} {
		d := s.Diagnose(t.Context(), StepList, credentialError{errors.New(`x: Post "https://login": ` + text)})
		if !d.isNet(want) || d.Step != StepAuthenticate || strings.Contains(d.Reason, canary) || !strings.HasPrefix(d.Hint, netcause.Of(want).Cure(authority)) {
			t.Errorf("%s: got %+v, want kind %d", text, d, want)
		}
	}
	for text, want := range map[string]kind{
		"x: json decode error: invalid\njson message bytes were: " + canary:                kindNotJSON,
		"TenantDiscoveryResponse: issuer '" + canary + "' does not match authority 'https": kindIssuer,
		`isn't configured to acquire tokens for tenant "` + canary + `"`:                   kindTenant,
	} {
		d := s.Diagnose(t.Context(), StepList, credentialError{errors.New(text)})
		if d.kind != want || d.Step != StepAuthenticate || strings.Contains(d.Reason, canary) || d.Hint == "" {
			t.Errorf("%s: got %+v, want kind %d", text, d, want)
		}
	}
}

// TestEchoIsNotQuoted plays servers that use what they were sent as their code.
func TestEchoIsNotQuoted(t *testing.T) {
	t.Parallel()
	const secret = "Abcdefghijklmnopqrstuvwx0123456789"
	s := open(t, &credential{}, transporter(nil))
	token := "eyJ0." + secret + ".c2ln"
	s.gate.token.Store(&token)
	s.gate.asks(&clientSecret{secret: func() string { return "short-one" }, wire: s.wire})
	for code, want := range map[string]string{
		"Throttled":             "Throttled",
		secret:                  "",
		secret[3:19]:            "",
		secret[3:18]:            secret[3:18], // under 16 characters, any word may be part of a secret
		"x" + secret[:20] + "x": "",
		"short-one":             "",
		"x.short-one.x":         "",
		"short-on":              "short-on",
		"with space":            "",
		"":                      "",
	} {
		if got := s.code(code); got != want {
			t.Errorf("%q: got %q, want %q", code, got, want)
		}
	}
}

// Hints call settings by the names that the session and its credential were given.
func TestNames(t *testing.T) {
	t.Parallel()
	s := open(t, &credential{}, transporter(nil))
	s.setting = "kvSetting:SecretUri (a.json)"
	identity := Names{TenantID: "kvSetting:TenantId (b.json)", ClientID: "kvSetting:ClientId (c.json)", ClientSecret: "kvSetting:ClientSecret (d.json)"}
	s.gate.asks(&clientSecret{names: identity, secret: func() string { return "secret" }, wire: s.wire})
	entra := func(code string) error {
		return credentialError{&azidentity.AuthenticationFailedError{RawResponse: answer(400, `{"error":"x","error_codes":[`+code+`]}`)}}
	}
	for want, err := range map[string]error{
		"check that kvSetting:SecretUri (a.json) is a key vault's address, and that no proxy or log-in page answers instead": refusal(302, "", ""),
		"check kvSetting:SecretUri (a.json) and the egress rules: nothing listens there":                                     syscall.ECONNREFUSED,
		"check kvSetting:ClientId (c.json) and kvSetting:TenantId (b.json)":                                                  entra("700016"),
		"set kvSetting:ClientSecret (d.json) to the client secret's value, not its ID":                                       entra("7000215"),
	} {
		if err == syscall.ECONNREFUSED { //nolint:errorlint // the case's own
			err = netcause.Read(&net.OpError{Op: "dial", Err: err})
		}
		if d := s.Diagnose(t.Context(), StepGet, err); d.Hint != want {
			t.Errorf("got  %s\nwant %s", d.Hint, want)
		}
	}
}

// What was listed a moment ago, and is not there, was deleted.
func TestGone(t *testing.T) {
	t.Parallel()
	s := open(t, &credential{}, transporter(nil))
	for _, code := range []string{"SecretNotFound", ""} {
		for _, listed := range []bool{false, true} {
			s.listed = listed
			d := s.Diagnose(t.Context(), StepGet, refusal(404, code, `{}`))
			if got := strings.HasPrefix(d.Hint, "load again: the secret was deleted meanwhile"); got != listed {
				t.Errorf("%q, listed %v: got %s, want the advice to load again only if it was listed", code, listed, d.Hint)
			}
		}
	}
}
