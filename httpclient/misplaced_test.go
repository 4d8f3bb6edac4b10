package httpclient_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
)

// textSettings is every setting that is a text and not a secret.
var textSettings = []string{
	"Environment", "Authority", "ClientId", "Scope", "Resource", "ConsumerOrgNo",
	"CertificatePkcs12Path", "CertificateStoreThumbprint", "Kid", "TokenExchangeEnvironment",
}

// shows reports whether a text holds a long part of a secret: at the latest one of 23
// characters.
func shows(printed, secret string) bool {
	for i := 0; i+16 <= len(secret); i += 8 {
		if strings.Contains(printed, secret[i:i+16]) {
			return true
		}
	}
	return len(secret) < 16 && strings.Contains(printed, secret)
}

// A secret of any kind that is pasted into a setting for something else is refused by
// the setting's name and source. Nothing of it is printed or sent, though the servers
// echo what they get and everything is logged.
func TestPastedSecrets(t *testing.T) {
	t.Parallel()
	secrets := pastetest.Secrets(t, "../testdata/keys")
	const password = "password" // it looks like nothing in particular
	secrets[password] = "Sommer-2026!CANARY"
	pasted, printed := 0, 0
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		for _, setting := range textSettings {
			pasted++
			out, sent := pasteInto(t, setting, secrets[name])
			if shows(out, secrets[name]) {
				printed++
				t.Errorf("%s in %s: got it printed, want it hidden:\n%s", name, setting, out)
			}
			if name == password && (setting == "Scope" || setting == "Resource") {
				continue // a scope and a resource may be any text, but are not shown
			}
			want := "httpclient: " + setting + " (appsettings.json) looks like "
			if name == password {
				want = "httpclient: " + setting + " (appsettings.json) "
			}
			if sent || !strings.Contains(strings.ReplaceAll(out, "is in quotation marks", "looks like one"), want) {
				t.Errorf("%s in %s: got sent: %t, want it refused by name and source:\n%s", name, setting, sent, out)
			}
		}
	}
	t.Logf("%d of %d were printed", printed, pasted)
}

// pasteInto tells everything that is printed of settings with a secret in the wrong
// place, and whether a request was sent.
func pasteInto(t *testing.T, setting, secret string) (out string, sent bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		srv.Faults.Add(echoes(secret))
		section := srv.Section()
		section["ExhangeToAltinnToken"] = true
		switch setting {
		case "Authority":
			delete(section, "Environment")
		case "CertificatePkcs12Path", "CertificateStoreThumbprint":
			delete(section, "EncodedJwk")
		}
		section[setting] = secret
		var log logs
		settings := httpclient.MaskinportenSettings{Origin: func(string) httpclient.Origin { return httpclient.Origin{Source: "appsettings.json"} }}
		err := settings.Parse(section)
		if out = prints(err); err != nil {
			out += prints(&settings)
			return
		}
		source, err := httpclient.NewTokenSource(settings, httpclient.WithLogger(log.logger(slog.LevelDebug)), httpclient.WithTokenTransport(srv.Transport()))
		out += prints(err)
		if err == nil {
			_, err = source.Token(t.Context())
			out += prints(err)
			source.Close()
		}
		out += log.String()
		sent = srv.Stats().TokenRequests+srv.Stats().Metadata > 0
	})
	return out, sent
}

// Nothing that is pasted into a request's context, a variable of NAIS or a key's id is
// printed or sent either.
func TestPastedElsewhere(t *testing.T) {
	t.Parallel()
	secrets := pastetest.Secrets(t, "../testdata/keys")
	secrets["base64url of a short JWK"] = encodedURL(`{"kty":"oct","k":"CANARY-0123456789"}`)
	inputs := map[string]func(context.Context, string) context.Context{
		"ContextWithScope":       func(ctx context.Context, s string) context.Context { return httpclient.ContextWithScope(ctx, s) },
		"ContextWithResource":    httpclient.ContextWithResource,
		"ContextWithConsumerOrg": httpclient.ContextWithConsumerOrg,
		"ContextWithPerson": func(ctx context.Context, s string) context.Context {
			return httpclient.ContextWithPerson(ctx, httpclient.NewSecret(s))
		},
		"ContextWithSystemUser": func(ctx context.Context, s string) context.Context {
			return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: s, ExternalRef: s})
		},
		"ContextWithSystemUser's reference": func(ctx context.Context, s string) context.Context {
			return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "991825827", ExternalRef: s})
		},
		"ContextWithConsent": func(ctx context.Context, s string) context.Context {
			return httpclient.ContextWithConsent(ctx, httpclient.Consent{ID: s, From: httpclient.NewSecret(s)})
		},
	}
	pasted, printed := 0, 0
	check := func(t *testing.T, name, out, secret string) {
		t.Helper()
		if pasted++; shows(out, secret) {
			printed++
			t.Errorf("%s: got it printed, want it hidden:\n%s", name, out)
		}
	}
	for name, secret := range secrets {
		synctest.Test(t, func(t *testing.T) {
			var log logs
			srv := newPipe(t, builtIn)
			defer srv.Close()
			srv.Faults.Add(echoes(secret))
			source := sourceOf(t, srv, nil, httpclient.WithLogger(log.logger(slog.LevelDebug)))
			defer source.Close()
			for input, with := range inputs {
				ctx := with(t.Context(), secret)
				_, err := source.Token(ctx)
				httpclient.Flush(source)
				check(t, name+" in "+input, prints(err)+fmt.Sprint(ctx)+log.String(), secret)
				function, _, _ := strings.Cut(input, "'")
				if !strings.HasPrefix(message(err), "httpclient: "+function+": ") || srv.Stats().TokenRequests > 0 {
					t.Errorf("%s in %s: got %v and %d requests, want an error before any", name, input, err, srv.Stats().TokenRequests)
				}
			}
			for _, variable := range []string{
				"MASKINPORTEN_CLIENT_ID", "MASKINPORTEN_SCOPES", "MASKINPORTEN_ISSUER", "MASKINPORTEN_TOKEN_ENDPOINT", "MASKINPORTEN_WELL_KNOWN_URL",
				"NAIS_TOKEN_ENDPOINT", "TEXAS_URL",
			} {
				vars := map[string]string{
					"MASKINPORTEN_CLIENT_ID": "id", "MASKINPORTEN_CLIENT_JWK": keyFile(t, "client.jwk.json"), "MASKINPORTEN_SCOPES": scope,
					"MASKINPORTEN_ISSUER": "https://i.example/", "MASKINPORTEN_TOKEN_ENDPOINT": "https://i.example/token",
				}
				vars[variable] = secret
				settings, err := httpclient.FromNAIS(env(vars))
				if err == nil {
					_, err = httpclient.NewTokenSource(settings)
				}
				check(t, name+" in "+variable, prints(err)+prints(settings), secret)
				if !strings.HasPrefix(message(err), "httpclient: "+variable+" ") {
					t.Errorf("%s in %s: got %v, want it refused by name", name, variable, err)
				}
			}
			_, err := httpclient.NewKey(clientKey(t).Signer(), secret, "")
			check(t, name+" as a key id", prints(err), secret)
			_, err2 := httpclient.ParseJWK(jwkWith(t, map[string]any{"kid": secret}), "")
			check(t, name+" as a JWK's key id", prints(err2), secret)
			_, err3 := httpclient.ParseJWK(keyFile(t, "client.jwk.json"), secret)
			check(t, name+" as another key id", prints(err3), secret)
			if err == nil || err2 == nil || err3 == nil {
				t.Errorf("%s as a key id: got %v, %v and %v, want errors", name, err, err2, err3)
			}
		})
	}
	t.Logf("%d of %d were printed", printed, pasted)
}

// A key id is for a line of a log, too.
func TestKeyIDsThatCannotBePrinted(t *testing.T) {
	t.Parallel()
	if _, err := httpclient.NewKey(clientKey(t).Signer(), "a\nb", ""); message(err) != "httpclient: key: the key id has a character that is not printed" {
		t.Errorf("got %v, want an error about the character", err)
	}
	if _, err := httpclient.ParseJWK(jwkWith(t, map[string]any{"kid": strings.Repeat("k", 201)}), ""); !strings.HasPrefix(message(err), "httpclient: the JWK has a key id that is a text of 201 characters") {
		t.Errorf("got %v, want an error about the length", err)
	}
	if _, err := httpclient.ParseJWK(jwkWith(t, map[string]any{"kid": "my key, 2026"}), ""); err != nil {
		t.Errorf("got %v, want a key: its id is a text of somebody's choice", err)
	}
}

// echoes makes servers that answer every request with a text.
func echoes(text string) faulttest.Fault {
	return faulttest.Fault{
		Times: -1, Status: http.StatusBadRequest,
		Body: fmt.Sprintf(`{"error":%q,"error_description":%[1]q,"error_uri":%[1]q}`, text),
	}
}

// What is set in code is checked as well.
func TestPastedInCode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*httpclient.MaskinportenSettings)
		want   string
	}{
		"a key as client id": {
			func(s *httpclient.MaskinportenSettings) { s.ClientID = s.EncodedJWK.Reveal() },
			"ClientId looks like base64 of a private key (JWK): it belongs in EncodedJwk",
		},
		"a key in quotation marks": {
			func(s *httpclient.MaskinportenSettings) {
				s.EncodedJWK = httpclient.NewSecret(`"` + s.EncodedJWK.Reveal() + `"`)
			},
			"EncodedJwk is in quotation marks: remove them",
		},
		"scopes with semicolons": {
			func(s *httpclient.MaskinportenSettings) { s.Scope = "a:b;c:d" },
			"Scope has a semicolon: separate scopes by spaces or commas",
		},
		"a scope in quotation marks": {
			func(s *httpclient.MaskinportenSettings) { s.Scope = `"a:b"` },
			"Scope is in quotation marks: remove them",
		},
		"a long client id": {
			func(s *httpclient.MaskinportenSettings) { s.ClientID = strings.Repeat("x-", 101) },
			"ClientId is a text of 202 characters: at most 200 are possible",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settingsOf(t, newDouble(t), nil)
			c.change(&s)
			if err := s.Validate(); !strings.Contains(message(err), "httpclient: "+c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if source, err := httpclient.NewTokenSource(s); err == nil || source != nil {
				t.Errorf("NewTokenSource: got %v and error %v, want an error", source, err)
			}
		})
	}
}

// What else is wrong is told as well, but not that a misplaced setting is missing.
func TestMisplacedHidesNothing(t *testing.T) {
	t.Parallel()
	s := settingsOf(t, newDouble(t), nil)
	s.ClientID, s.EncodedJWK = s.EncodedJWK.Reveal(), httpclient.NewSecret(`"`+s.EncodedJWK.Reveal()+`"`)
	s.ConsumerOrgNo, s.Resource = "5", "a b"
	s.ExchangeToAltinnToken, s.TokenExchangeEnvironment, s.EnterpriseUserName = true, "tt2", httpclient.NewSecret("u")
	const want = "httpclient: ClientId looks like base64 of a private key (JWK): it belongs in EncodedJwk\n" +
		"httpclient: EncodedJwk is in quotation marks: remove them\n" +
		"httpclient: Resource is not a text of at most 2,000 printable characters\n" +
		"httpclient: ConsumerOrgNo is not an organisation number: nine digits\n" +
		`httpclient: TokenExchangeEnvironment is "tt2": use "tt02", "prod", "at21" to "at24", "yt01", or the platform's base URL`
	if err := s.Validate(); message(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if s.ClientID == "" || s.EncodedJWK.IsZero() {
		t.Error("got other settings than before, want them unchanged")
	}
}

// A password may be anything, quotation marks too.
func TestPasswordInQuotationMarks(t *testing.T) {
	t.Parallel()
	s, err := httpclient.ParseSettings(map[string]any{"CertificatePkcs12Password": `"p"`, "EnterpriseUserPassword": `'p'`})
	if err != nil || s.CertificatePKCS12Password.Reveal() != `"p"` || s.EnterpriseUserPassword.Reveal() != `'p'` {
		t.Errorf("got %v, want both as they are", err)
	}
}

// A Key Vault reference that nothing has followed is told of in every setting, spelt
// right or not, and nothing of it is printed.
func TestReferenceThatWasNotFollowed(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"ClientId", "Scope", "Environment", "EncodedJwk", "EnterpriseUserName"} {
		for _, value := range []string{
			"@Microsoft.KeyVault(VaultName=my-vault;SecretName=CANARY)", "@MicrosoftKeyVault(SecretName=CANARY)", " @microsoft.key vault(CANARY)",
		} {
			_, err := httpclient.ParseSettings(map[string]any{setting: value})
			want := "httpclient: " + setting + " looks like a Key Vault reference, but it was not followed: " +
				"write it as @Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret)"
			if message(err) != want {
				t.Errorf("%s: got %v, want %s", value, err, want)
			}
		}
	}
	if _, err := httpclient.ParseSettings(map[string]any{"ClientId": "me@keyvault.example"}); err != nil {
		t.Errorf("a name with an at sign: got %v, want it taken", err)
	}
}
