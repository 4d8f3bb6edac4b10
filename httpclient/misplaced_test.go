package httpclient_test

import (
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
			if name == password && (setting == "Scope" || setting == "Resource") {
				continue // a scope and a resource may be any text
			}
			pasted++
			out, sent := pasteInto(t, setting, secrets[name])
			if shows(out, secrets[name]) {
				printed++
				t.Errorf("%s in %s: got it printed, want it hidden:\n%s", name, setting, out)
			}
			want := "httpclient: " + setting + " (appsettings.json) looks like "
			if name == password {
				want = "httpclient: " + setting + " (appsettings.json) "
			}
			if sent || !strings.Contains(out, want) {
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
		srv.Faults.Add(faulttest.Fault{
			Times: -1, Status: http.StatusBadRequest,
			Body: fmt.Sprintf(`{"error":%q,"error_description":%[1]q,"error_uri":%[1]q}`, secret),
		})
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
			"Scope looks like a text in quotation marks: remove them",
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
