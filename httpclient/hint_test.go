package httpclient_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

// Hints name the setting that is concerned, as the user spelt it.
func TestHintsNameTheSetting(t *testing.T) {
	t.Parallel()
	refuse := func(code, description string) faulttest.Fault {
		return faulttest.Fault{Match: toToken, Status: 400, Body: fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description)}
	}
	const unknownKid = "Unknown key identifier (kid) for client"
	for name, c := range map[string]struct {
		changes map[string]any
		fault   faulttest.Fault
		want    string
	}{
		"the key's own id":    {map[string]any{}, refuse("invalid_grant", unknownKid), "check EncodedJwk: key for-tests-only (RSA 2048) is not registered"},
		"another id":          {map[string]any{"kid": "mine"}, refuse("invalid_grant", unknownKid), "check kid: key mine (RSA 2048) is not registered"},
		"MP-100 for a key":    {map[string]any{}, refuse("invalid_client", "MP-100: Client authentication failed. "+unknownKid), "check EncodedJwk: key for-tests-only (RSA 2048) is not registered"},
		"only MP-100":         {map[string]any{}, refuse("invalid_client", "MP-100"), "check ClientId: it is misspelt, or the client belongs to another environment than Environment"},
		"authority":           {map[string]any{"Environment": "", "authority": "https://test.maskinporten.no/"}, refuse("invalid_grant", "MP-110"), "check authority: the assertion was made for another environment's issuer"},
		"a client, unsaid":    {map[string]any{"Environment": "", "authority": "https://test.maskinporten.no/"}, refuse("invalid_client", "no"), "check ClientId, authority and EncodedJwk: they must belong together"},
		"a grant, unsaid":     {map[string]any{}, refuse("invalid_grant", "no"), "check ClientId, Environment and EncodedJwk: they must belong together"},
		"the exchange's":      {map[string]any{"ExchangeToAltinnToken": true, "tokenExchangeEnvironment": "https://pipe.invalid"}, faulttest.Fault{Match: toExchange, Status: 401}, "check that tokenExchangeEnvironment belongs to Environment"},
		"an enterprise user":  {map[string]any{"ExchangeToAltinnToken": true, "enterpriseUserName": "u", "enterpriseUserPassword": "p"}, faulttest.Fault{}, "remove enterpriseUserName and enterpriseUserPassword, and use"},
		"not from the server": {map[string]any{"ExchangeToAltinnToken": true, "tokenExchangeEnvironment": "https://pipe.invalid"}, faulttest.Fault{Match: toExchange, Status: 200, Body: "x"}, "check tokenExchangeEnvironment and the proxy: something else answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := answered(t, c.changes, c.fault); !strings.Contains(message(err), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Every wording that is known for one refusal is recognised.
func TestRefusalsInOtherWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Unknown kid":                                "key for-tests-only (RSA 2048) is not registered",
		"Wrong claim aud":                            "made for another environment's issuer",
		"The key is expired":                         "the registration of key for-tests-only (RSA 2048) ended;",
		"The key has expired":                        "the registration of key for-tests-only (RSA 2048) ended;",
		"The JWT has expired":                        "this machine's clock is behind Maskinporten's",
		"Issued in the future":                       "this machine's clock is ahead of Maskinporten's",
		"Issue time is in the future":                "this machine's clock is ahead of Maskinporten's",
		"Invalid JWT signature":                      "is not the one registered as key for-tests-only (RSA 2048, RS256)",
		"Invalid signature":                          "is not the one registered as key for-tests-only (RSA 2048, RS256)",
		"The signature is invalid":                   "is not the one registered as key for-tests-only (RSA 2048, RS256)",
		"Unknown authorization_details type":         "does not know this type of authorization details",
		"Unknown authorization details field":        "does not know a field of the authorization details",
		"Unknown authorization_details field":        "does not know a field of the authorization details",
		"Invalid authorization_details value":        "the system user or consent does not exist",
		"Invalid authorization details":              "the system user or consent does not exist",
		"Invalid organization number for the client": "use an enterprise certificate of the organisation",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			err := answered(t, nil, faulttest.Fault{Match: toToken, Status: 400, Body: fmt.Sprintf(`{"error":"x","error_description":%q}`, text)})
			if !strings.Contains(message(err), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// URLs that would send requests astray are refused.
func TestURLsThatGoAstray(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"https://i.example/?":        `is "https://i.example/": remove what follows the path`,
		"https://i.example/#":        `is "https://i.example/": remove what follows the path`,
		"https://:8080/":             `is "https://:8080/": a URL starts with https:// and a host`,
		"https://i.example:99999/":   `is "https://i.example:99999/": a port is a number up to 65535`,
		"https://i.example:0/":       `is "https://i.example:0/": a port is a number up to 65535`,
		"https://i.example/token":    "is a token endpoint: use the issuer, https://i.example/",
		"https://i.example/a/token/": "is a token endpoint: use the issuer, https://i.example/a/",
		"https://i.example/.well-known/oauth-authorization-server": "is the address of metadata: use the issuer, https://i.example/",
		"staging": `is "staging": use "test" or "prod", or the URL of an issuer; for Altinn's TT02 it is "test"`,
		"tt02":    `is "tt02": use "test" or "prod", or the URL of an issuer; for Altinn's TT02 it is "test"`,
	} {
		s := httpclient.MaskinportenSettings{Environment: value, ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(keyFile(t, "client.jwk.json"))}
		if err := s.Validate(); message(err) != "httpclient: Environment "+want {
			t.Errorf("%s: got %v, want %s", value, err, want)
		}
	}
}

// Settings without effect are warned about. An empty Jwk is not a key.
func TestSettingsWithoutEffect(t *testing.T) {
	t.Parallel()
	var out logs
	source := sourceOf(t, newDouble(t), map[string]any{
		"enterpriseUserName": "u", "EnterpriseUserPassword": "p", "UseAltinnTestOrg": true, "CertificatePkcs12Password": "p", "Jwk": map[string]any{},
	}, httpclient.WithLogger(out.logger(slog.LevelWarn)))
	if _, err := source.Token(t.Context()); err != nil {
		t.Error(err)
	}
	for _, setting := range []string{"enterpriseUserName", "EnterpriseUserPassword", "UseAltinnTestOrg"} {
		if want := setting + " has no effect without ExhangeToAltinnToken"; !strings.Contains(out.String(), want) {
			t.Errorf("got no warning, want %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "WARN"); n != 4 {
		t.Errorf("got %d warnings, want 4:\n%s", n, out.String())
	}
}

// Values of other types that a program's own map may hold.
func TestOtherTypes(t *testing.T) {
	t.Parallel()
	got, err := httpclient.ParseSettings(map[string]any{"ConsumerOrgNo": uint32(991825827), "ClientId": int32(7), "Kid": float32(1.5)})
	if err != nil || got.ConsumerOrgNo != "991825827" || got.ClientID != "7" || got.KeyID != "1.5" {
		t.Errorf("got %v and error %v, want the numbers as texts", got, err)
	}
	_, err = httpclient.ParseSettings(map[string]any{
		"ClientId": []byte("x"), "Kid": map[any]any{}, "Resource": map[string]string{}, "UseAltinnTestOrg": uint8(1), "Scope": []any{true},
	})
	const want = "httpclient: ClientId is a []uint8, not a text\n" +
		"httpclient: Kid is a map[interface {}]interface {}, not a text\n" +
		"httpclient: Resource is a map[string]string, not a text\n" +
		"httpclient: Scope has a boolean as element 0, not a text\n" +
		"httpclient: UseAltinnTestOrg is a number: write true or false"
	if message(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The last call of one function counts, for what it got wrong too.
func TestLastCallCounts(t *testing.T) {
	t.Parallel()
	source := sourceOf(t, newDouble(t), nil)
	ctx := httpclient.ContextWithConsumerOrg(httpclient.ContextWithScope(t.Context(), ""), "0192:")
	_, err := source.Token(ctx)
	const want = "httpclient: ContextWithScope: no scope is named\nhttpclient: ContextWithConsumerOrg: not an organisation number: nine digits"
	if message(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx = httpclient.ContextWithConsumerOrg(httpclient.ContextWithScope(ctx, scope), "0192:974760673")
	if _, err := source.Token(ctx); err != nil {
		t.Error(err)
	}
}

// Nil, as a failed constructor returns it, does not panic.
func TestNils(t *testing.T) {
	t.Parallel()
	var source *httpclient.TokenSource
	var token *httpclient.Token
	var key *httpclient.Key
	source.Close()
	if _, err := source.Token(t.Context()); message(err) != "httpclient: the token source is closed" || token.AccessToken() != "" || key.KeyID() != "" {
		t.Errorf("got %v, want ErrClosed and empty texts", err)
	}
	if s, err := httpclient.FromNAIS(nil); err != nil || s.Validate() == nil {
		t.Errorf("got %v, want settings that are not valid", err)
	}
}

// With EnableDebugLog the steps are at Info, no higher, and go to the default logger
// without one. Not parallel: that is the program's.
func TestStepsAreAtInfo(t *testing.T) {
	var out logs
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(out.logger(slog.LevelDebug))
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(writer) // which SetDefault does not undo
		log.SetFlags(flags)
	}()
	srv := newDouble(t)
	source, err := httpclient.NewTokenSource(settingsOf(t, srv, map[string]any{"EnableDebugLog": true}), httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for range 2 {
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	httpclient.Flush(source)
	for _, step := range []string{"asking for a Maskinporten token", "got a Maskinporten token"} {
		if !strings.Contains(out.String(), `level=INFO msg="httpclient: `+step) {
			t.Errorf("got no step, want %q in\n%s", step, out.String())
		}
	}
	if strings.Contains(out.String(), "level=WARN") || strings.Contains(out.String(), "level=DEBUG") {
		t.Errorf("got other levels than Info, want only that:\n%s", out.String())
	}
}

// The enterprise user is sent as Altinn's documentation says.
func TestEnterpriseUserHeader(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	var header []string
	source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true, "EnterpriseUserName": "user", "EnterpriseUserPassword": "pass:word"},
		httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if toExchange(r) {
				header = r.Header.Values("X-Altinn-EnterpriseUser-Authentication")
			}
			return srv.Transport().RoundTrip(r)
		})))
	_, _ = source.Token(t.Context())
	if len(header) != 1 || header[0] != encoded("user:pass:word") {
		t.Errorf("got the header %q, want user and password once", header)
	}
}

// The endpoint of a custom issuer, as its metadata comes, goes and changes; the
// assertion names the issuer as the metadata spells it.
func TestMetadataEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		metadata := "" // 404
		var endpoint, audience string
		s := httpclient.MaskinportenSettings{Environment: "https://i.example", ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(keyFile(t, "client.jwk.json"))}
		source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				endpoint = r.URL.String()
				audience, _ = claimsOf(t, r)["aud"].(string)
				return tokenAnswer("t", 30), nil
			}
			switch metadata {
			case "":
				return answer(404, nil), nil
			case "ends":
				runtime.Goexit()
			}
			resp := answer(200, nil)
			resp.Body = io.NopCloser(strings.NewReader(metadata))
			return resp, nil
		})), httpclient.WithLogger((&logs{}).logger(0)))
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		of := func(token string) string {
			return fmt.Sprintf(`{"issuer":"https://i.example","token_endpoint":%q}`, token)
		}
		for _, c := range []struct {
			name, metadata     string
			after              time.Duration
			endpoint, audience string
		}{
			{"none", "", 0, "https://i.example/token", "https://i.example/"},
			{"none yet", of("https://i.example/v2"), 30 * time.Second, "https://i.example/token", "https://i.example/"},
			{"it is looked for", of("https://i.example/v2"), 31 * time.Second, "https://i.example/token", "https://i.example/"},
			{"and found", "", 30 * time.Second, "https://i.example/v2", "https://i.example"},
			{"gone a day later, and the old kept", "", 25 * time.Hour, "https://i.example/v2", "https://i.example"},
			{"the goroutine that looks ends", "ends", 2 * time.Minute, "https://i.example/v2", "https://i.example"},
			{"changed meanwhile", of("https://i.example/v3"), 2 * time.Minute, "https://i.example/v2", "https://i.example"},
			{"and taken", of("https://i.example/v3"), time.Minute, "https://i.example/v3", "https://i.example"},
		} {
			metadata = c.metadata
			pass(c.after)
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if endpoint != c.endpoint || audience != c.audience {
				t.Errorf("%s: got %s for %s, want %s for %s", c.name, endpoint, audience, c.endpoint, c.audience)
			}
		}
	})
}

// A key source beside any kind of key is refused.
func TestKeySourceBesideAKey(t *testing.T) {
	t.Parallel()
	for setting, value := range map[string]string{
		"EncodedJwk": "x", "Jwk": "x", "EncodedX509": "x", "CertificatePkcs12Path": filepath.Join("no", "such.p12"),
	} {
		s, err := httpclient.ParseSettings(map[string]any{"Environment": "test", "ClientId": "id", "Scope": "s", setting: value})
		if err != nil {
			t.Fatal(err)
		}
		_, err = httpclient.NewTokenSource(s, httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return nil, nil })))
		if message(err) != "httpclient: "+setting+": a key source is given beside this key: keep one of them" {
			t.Errorf("%s: got %v, want an error about two keys", setting, err)
		}
	}
	if httpclient.DefaultCacheSize != 10_000 {
		t.Errorf("got a cache of %d tokens, want 10000", httpclient.DefaultCacheSize)
	}
}

// An answer that leaves out its scope grants what was asked for (RFC 6749 section 5.1).
func TestScopeThatIsLeftOut(t *testing.T) {
	t.Parallel()
	source, _ := instant(t)
	token, err := source.Token(httpclient.ContextWithScope(t.Context(), "b\ta\nb"))
	if err != nil || fmt.Sprint(token.Scopes()) != "[a b]" {
		t.Errorf("got %v and error %v, want the scopes that were asked for", token, err)
	}
}
