package httpclient_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

var ignoreSpelling = cmpopts.IgnoreUnexported(httpclient.MaskinportenSettings{})

func TestParseSettings(t *testing.T) {
	t.Parallel()
	type settings = httpclient.MaskinportenSettings
	cases := []struct {
		name     string
		section  map[string]any
		want     settings
		warnings []string
		err      string
	}{
		{name: "nothing", section: nil},
		{
			name: "every setting of .NET, as it spells them",
			section: map[string]any{
				"ClientId": "id", "Scope": "a b", "Resource": "r", "Environment": "test",
				"CertificatePkcs12Path": "p", "CertificatePkcs12Password": "w", "CertificateStoreThumbprint": "t",
				"EncodedJwk": "j", "EncodedX509": "x", "Kid": "k", "ConsumerOrgNo": "991825827",
				"EnterpriseUserName": "u", "EnterpriseUserPassword": "s", "ExhangeToAltinnToken": true,
				"TokenExchangeEnvironment": "tt02", "UseAltinnTestOrg": true, "EnableDebugLogging": true,
				"OverwriteAuthorizationHeader": true,
			},
			want: settings{
				ClientID: "id", Scope: "a b", Resource: "r", Environment: "test",
				CertificatePKCS12Path: "p", CertificatePKCS12Password: httpclient.NewSecret("w"), CertificateStoreThumbprint: "t",
				EncodedJWK: httpclient.NewSecret("j"), EncodedX509: httpclient.NewSecret("x"), KeyID: "k", ConsumerOrgNo: "991825827",
				EnterpriseUserName: httpclient.NewSecret("u"), EnterpriseUserPassword: httpclient.NewSecret("s"), ExchangeToAltinnToken: true,
				TokenExchangeEnvironment: "tt02", UseAltinnTestOrg: true, EnableDebugLog: true,
				OverwriteAuthorizationHeader: true,
			},
		},
		{
			name: "the other spellings, in another case",
			section: map[string]any{
				"AUTHORITY": "https://a/", "clientid": "id", "jwkbase64": "j", "exchangetoaltinntoken": "TRUE", "enabledebuglog": "False",
			},
			want: settings{Authority: "https://a/", ClientID: "id", EncodedJWK: httpclient.NewSecret("j"), ExchangeToAltinnToken: true},
		},
		{
			name:    "values as other types",
			section: map[string]any{"ConsumerOrgNo": 991825827, "Kid": int64(7), "Resource": 1.5, "Scope": []any{"a", "b"}, "ClientId": json.Number("12"), "UseAltinnTestOrg": "1"},
			want:    settings{ConsumerOrgNo: "991825827", KeyID: "7", Resource: "1.5", Scope: "a b", ClientID: "12", UseAltinnTestOrg: true},
		},
		{
			name:    "a JWK as an object",
			section: map[string]any{"Jwk": map[string]any{"kty": "RSA"}, "Scope": []string{"a"}},
			want:    settings{JWK: httpclient.NewSecret(`{"kty":"RSA"}`), Scope: "a"},
		},
		{
			name:    "blank and null count as not set",
			section: map[string]any{"ClientId": " ", "Scope": nil, "UseAltinnTestOrg": "", "EncodedJwk": "", "JwkBase64": "j"},
			want:    settings{EncodedJWK: httpclient.NewSecret("j")},
		},
		{
			name:    "two spellings that agree",
			section: map[string]any{"ExhangeToAltinnToken": true, "ExchangeToAltinnToken": "true"},
			want:    settings{ExchangeToAltinnToken: true},
		},
		{
			name:    "two spellings that contradict",
			section: map[string]any{"ExhangeToAltinnToken": true, "ExchangeToAltinnToken": false, "EncodedJwk": "a", "JwkBase64": "b"},
			want:    settings{EncodedJWK: httpclient.NewSecret("b"), ExchangeToAltinnToken: true},
			err: "httpclient: ExchangeToAltinnToken and ExhangeToAltinnToken contradict one another: keep one of them\n" +
				"httpclient: EncodedJwk and JwkBase64 contradict one another: keep one of them",
		},
		{
			name:     "unknown keys",
			section:  map[string]any{"ClientID2": "x", "Zebra": 1, "X": 2},
			warnings: []string{`ClientID2: unknown setting, ignored; did you mean ClientId?`, `X: unknown setting, ignored`, `Zebra: unknown setting, ignored`},
		},
		{
			name:    "a password keeps its white space, another setting does not",
			section: map[string]any{"CertificatePkcs12Password": " p\n", "EnterpriseUserPassword": " q ", "ClientId": " id\n"},
			want:    settings{CertificatePKCS12Password: httpclient.NewSecret(" p\n"), EnterpriseUserPassword: httpclient.NewSecret(" q "), ClientID: "id"},
		},
		{
			name:    "a password that lost its digits",
			section: map[string]any{"CertificatePkcs12Password": 12345678901234567890.0},
			err:     "httpclient: CertificatePkcs12Password is a number: write it as a text",
		},
		{
			name: "wrong types, all at once",
			section: map[string]any{
				"ClientId": map[string]any{}, "EnableDebugLog": "maybe", "Scope": []any{1}, "UseAltinnTestOrg": 3, "Resource": true, "Kid": []any{},
			},
			err: "httpclient: ClientId is a section, not a text\n" +
				"httpclient: EnableDebugLog is neither \"true\" nor \"false\"\n" +
				"httpclient: Kid is a list, not a text\n" +
				"httpclient: Resource is a boolean, not a text\n" +
				"httpclient: Scope has a number as element 0, not a text\n" +
				"httpclient: UseAltinnTestOrg is a number: write true or false",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := httpclient.ParseSettings(c.section)
			if diff := cmp.Diff(c.want, got, ignoreSpelling); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.warnings, httpclient.Warnings(got)); diff != "" {
				t.Error(diff)
			}
			if message(err) != c.err {
				t.Errorf("got error\n%s\nwant\n%s", message(err), c.err)
			}
		})
	}
}

// The section of Altinn's guide, as it stands there.
func TestGuideSection(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../testdata/appsettings/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ MaskinportenSettings map[string]any }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	got, err := httpclient.ParseSettings(file.MaskinportenSettings)
	want := httpclient.MaskinportenSettings{Environment: "ver2", Scope: scope, ExchangeToAltinnToken: true, EnableDebugLog: true}
	if diff := cmp.Diff(want, got, ignoreSpelling); diff != "" || len(httpclient.Warnings(got)) > 0 || err != nil {
		t.Errorf("got other settings than want (-want +got), warnings %q and error %v:\n%s", httpclient.Warnings(got), err, diff)
	}
}

// Errors and hints tell where a setting came from, if that is known.
func TestErrorsNameTheOrigin(t *testing.T) {
	t.Parallel()
	origin := from(map[string]string{"environment": "appsettings.json", "EncodedJwk": "secret Client--EncodedJwk of a vault", "Scope": "environment variable S"})
	typed := httpclient.MaskinportenSettings{Origin: origin}
	err := typed.Parse(map[string]any{"environment": []any{}, "Scope": "a", "scope": "b", "EncodedJwk": 1.5, "Scopes": "c"})
	const wrong = `httpclient: EncodedJwk (secret Client--EncodedJwk of a vault) is a number: write it as a text` + "\n" +
		"httpclient: environment (appsettings.json) is a list, not a text\n" +
		"httpclient: Scope (environment variable S) and scope contradict one another: keep one of them"
	if message(err) != wrong || !slices.Equal(httpclient.Warnings(typed), []string{"Scopes: unknown setting, ignored; did you mean Scope?"}) {
		t.Errorf("got\n%v\n%q\nwant\n%s", err, httpclient.Warnings(typed), wrong)
	}
	s, err := httpclient.ParseSettings(map[string]any{"environment": "tset", "ClientId": "id", "EncodedJwk": "%", "Scope": "s"})
	if err != nil {
		t.Fatal(err)
	}
	s.Origin = origin
	const want = `httpclient: environment (appsettings.json) is "tset": use "test" or "prod", or the URL of an issuer` + "\n" +
		"httpclient: EncodedJwk (secret Client--EncodedJwk of a vault) is not base64: set it to the base64 of the client's private JWK"
	if err := s.Validate(); message(err) != want || errors.Is(err, httpclient.ErrMissing) {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := (&httpclient.MaskinportenSettings{}).Validate(); !errors.Is(err, httpclient.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}

	srv := newDouble(t)
	s = settingsOf(t, srv, map[string]any{"Scope": "not:registered"})
	s.Origin = origin
	source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); !strings.Contains(message(err), "check Scope (environment variable S): not:registered is misspelt") {
		t.Errorf("got %v, want a hint with the variable", err)
	}
	// What a request asked for is not the settings' fault.
	if _, err := source.Token(httpclient.ContextWithScope(t.Context(), "another:scope")); !strings.Contains(message(err), "check ContextWithScope: another:scope is misspelt") {
		t.Errorf("got %v, want a hint to the function", err)
	}
	for text, hint := range map[string]string{
		"MP-251":                  "check ContextWithConsumerOrg: ask that organisation to delegate not:registered in Altinn",
		"Invalid parameter value": "check ContextWithResource and ContextWithConsumerOrg",
	} {
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"x","error_description":"` + text + `"}`})
		ctx := httpclient.ContextWithResource(httpclient.ContextWithConsumerOrg(t.Context(), "0192:889640782"), "https://"+text[:2])
		if _, err := source.Token(ctx); !strings.Contains(message(err), hint) {
			t.Errorf("got %v, want %s", err, hint)
		}
	}
}

// Settings that work, but not as they look.
func TestWarnings(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		changes map[string]any
		want    string
	}{
		"production's tokens at a test platform": {map[string]any{"Environment": "prod", "TokenExchangeEnvironment": "tt02", "ExhangeToAltinnToken": true}, "Environment and TokenExchangeEnvironment do not belong together"},
		"test's tokens in production":            {map[string]any{"Environment": "test", "TokenExchangeEnvironment": "prod", "ExhangeToAltinnToken": true}, "Environment and TokenExchangeEnvironment do not belong together"},
		"a password for nothing":                 {map[string]any{"Environment": "test", "CertificatePkcs12Password": "CANARY"}, "CertificatePkcs12Password has no effect without CertificatePkcs12Path"},
		"a test organisation for nothing":        {map[string]any{"Environment": "test", "UseAltinnTestOrg": true}, "UseAltinnTestOrg has no effect without ExhangeToAltinnToken"},
		"nothing":                                {map[string]any{"Environment": "test", "TokenExchangeEnvironment": "at22", "ExhangeToAltinnToken": true}, ""},
		"another platform":                       {map[string]any{"Environment": "prod", "TokenExchangeEnvironment": "https://p.example", "ExhangeToAltinnToken": true}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			section := map[string]any{"ClientId": "id", "Scope": "s", "EncodedJwk": lasting(t)["EncodedJwk"]}
			for key, value := range c.changes {
				section[key] = value
			}
			s, err := httpclient.ParseSettings(section)
			if err != nil {
				t.Fatal(err)
			}
			var out logs
			source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(0)))
			if err != nil {
				t.Fatal(err)
			}
			source.Close()
			if !strings.Contains(out.String(), c.want) || (c.want == "") != (out.String() == "") || strings.Contains(out.String(), "CANARY") {
				t.Errorf("got log %s, want %q", out.String(), c.want)
			}
		})
	}
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		section map[string]any
		want    string
	}{
		{
			name:    "nothing set",
			section: nil,
			want: `httpclient: Environment is missing: set it to "test" or "prod", or to the URL of an issuer` + "\n" +
				"httpclient: ClientId is missing: set it to the client's id in Maskinporten\n" +
				"httpclient: EncodedJwk is missing: set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)",
		},
		{
			name: "names as the user spelt them",
			section: map[string]any{
				"environment": "tset", "clientid": "id", "JWKBASE64": "%", "scope": "a", "consumerorgno": "12",
				"exchangetoaltinntoken": true,
			},
			want: `httpclient: environment is "tset": use "test" or "prod", or the URL of an issuer` + "\n" +
				"httpclient: JWKBASE64 is not base64: set it to the base64 of the client's private JWK\n" +
				"httpclient: consumerorgno is not an organisation number: nine digits",
		},
		{
			name: "several keys, half an enterprise user, a foreign exchange",
			section: map[string]any{
				"Authority": "https://issuer.example/", "ClientId": "id", "Scope": "a", "EncodedJwk": "x", "EncodedX509": "y",
				"CertificatePkcs12Path": "z", "ExhangeToAltinnToken": true, "EnterpriseUserName": "u",
			},
			want: "httpclient: EncodedJwk and EncodedX509 and CertificatePkcs12Path each hold a key: keep one of them\n" +
				"httpclient: EncodedJwk is not base64: set it to the base64 of the client's private JWK\n" +
				"httpclient: EncodedX509 is not base64: set it to the base64 of a PKCS#12 archive (.p12, .pfx)\n" +
				"httpclient: CertificatePkcs12Path cannot be read: correct the path, which begins in the working directory or beside the settings file - no such file or directory\n" +
				`httpclient: TokenExchangeEnvironment is missing: set it to "tt02", "prod" or the platform's base URL, or turn off ExhangeToAltinnToken: ` +
				"the issuer is not Maskinporten's own\n" +
				"httpclient: EnterpriseUserPassword is missing: set it as well, or remove EnterpriseUserName",
		},
		{
			name: "a misspelt environment hides nothing",
			section: map[string]any{
				"Environment": "tset", "ClientId": "i d", "Scope": "a\"", "CertificateStoreThumbprint": "t", "EncodedJwk": "%", "ConsumerOrgNo": "0192:",
				"ExhangeToAltinnToken": true, "TokenExchangeEnvironment": "tt03", "EnterpriseUserName": "u",
			},
			want: `httpclient: Environment is "tset": use "test" or "prod", or the URL of an issuer` + "\n" +
				"httpclient: ClientId has a character that no client id has: letters, digits and . _ : @ ~ = + / # - are possible\n" +
				"httpclient: CertificateStoreThumbprint works on Windows with .NET only: export the certificate with its key and set CertificatePkcs12Path or EncodedX509\n" +
				"httpclient: EncodedJwk is not base64: set it to the base64 of the client's private JWK\n" +
				"httpclient: Scope has a character that no scope can have\n" +
				"httpclient: ConsumerOrgNo is not an organisation number: nine digits\n" +
				`httpclient: TokenExchangeEnvironment is "tt03": use "tt02", "prod", "at21" to "at24", "yt01", or the platform's base URL` + "\n" +
				"httpclient: EnterpriseUserPassword is missing: set it as well, or remove EnterpriseUserName",
		},
		{
			name: "half an enterprise user, a thumbprint",
			section: map[string]any{
				"Environment": "test", "ClientId": "id", "Scope": "a", "CertificateStoreThumbprint": "t",
				"ExhangeToAltinnToken": true, "EnterpriseUserPassword": "s",
			},
			want: "httpclient: CertificateStoreThumbprint works on Windows with .NET only: export the certificate with its key " +
				"and set CertificatePkcs12Path or EncodedX509\n" +
				"httpclient: EnterpriseUserName is missing: set it as well, or remove EnterpriseUserPassword",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := httpclient.ParseSettings(c.section)
			if err != nil {
				t.Fatal(err)
			}
			if got := message(s.Validate()); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if _, err := httpclient.New(s); message(err) != c.want {
				t.Errorf("got error\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// Parse lays a section over what is there already.
func TestParseKeepsTheRest(t *testing.T) {
	t.Parallel()
	s := httpclient.MaskinportenSettings{ClientID: "id", Scope: "s", UseAltinnTestOrg: true}
	for _, section := range []map[string]any{
		{"clientid": "newer", "Environment": "tset", "Kid": nil, "ExchangeToAltinnToken": "true"},
		{"environment": "tset", "Scope": " ", "ExhangeToAltinnToken": "false"}, // another section's spelling contradicts nothing
		{"UseAltinnTestOrg": false},
	} {
		if err := s.Parse(section); err != nil || len(httpclient.Warnings(s)) > 0 {
			t.Errorf("got error %v and warnings %q, want neither", err, httpclient.Warnings(s))
		}
	}
	if s.ClientID != "newer" || s.Scope != "s" || s.Environment != "tset" || s.ExchangeToAltinnToken || s.UseAltinnTestOrg {
		t.Errorf("got %v, want what was parsed last over what was there", s)
	}
	if err := s.Validate(); !strings.Contains(message(err), `environment is "tset"`) {
		t.Errorf("got %v, want the last spelling", err)
	}
}
