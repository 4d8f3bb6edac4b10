package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const secret = "MaskinportenSettings--EncodedJwk"

// servers are the test servers: Maskinporten knows the older key.
func servers(t *testing.T) (*maskinportentest.Server, *vaulttest.Server) {
	t.Helper()
	porten, vault := maskinportentest.NewServer(maskinportentest.WithKey(maskinportentest.NewKey("older"))), vaulttest.NewServer()
	t.Cleanup(porten.Close)
	t.Cleanup(vault.Close)
	return porten, vault
}

// graph is what a test adds to an application with the settings of porten, without a key.
func graph(t *testing.T, porten *maskinportentest.Server, vault *vaulttest.Server, log *bytes.Buffer, more map[string]any) fx.Option {
	t.Helper()
	section := porten.Section()
	delete(section, "EncodedJwk")
	maps.Copy(section, more)
	settings, err := json.Marshal(map[string]any{"kvSetting": vault.KVSetting(), "MaskinportenSettings": section})
	if err != nil {
		t.Fatal(err)
	}
	return fx.Options(
		fx.NopLogger,
		fx.Supply(
			slog.New(slog.NewJSONHandler(log, nil)),
			provider.AppConfig{FS: fstest.MapFS{"appsettings.json": {Data: settings}}, Environ: func() []string { return nil }},
			provider.ConnectConfig{Config: provider.Config{ClientOptions: vault.ClientOptions()}, CredentialOptions: vault.CredentialOptions()},
			fx.Annotate(httpclient.WithTokenTransport(porten.Transport()), fx.ResultTags(`group:"portnokkel"`)),
		),
	)
}

// signer is the key that signed last.
func signer(porten *maskinportentest.Server) any { return porten.Stats().LastAssertion.Header["kid"] }

type params struct {
	fx.In

	Tokens    *httpclient.TokenSource `name:"altinn"`
	Readiness *fxmodule.Readiness     `optional:"true"`
}

// The steps of the page: a new key is made, registered and put first. The service takes
// it up when the old one is removed. The records and the answers are those of the page.
func TestRotation(t *testing.T) {
	porten, vault := servers(t)
	vault.Set(secret, porten.EncodedJWK())
	var log bytes.Buffer
	var p params
	app := fxtest.New(t, options(), graph(t, porten, vault, &log, map[string]any{"EnableAuditLog": true}), fx.Populate(&p)).RequireStart()
	if _, err := p.Tokens.Token(t.Context()); err != nil || signer(porten) != "older" {
		t.Fatalf("got a token by %v, %v, want one by the older key", signer(porten), err)
	}

	ends := time.Now().Add(365 * 24 * time.Hour).UTC().Truncate(time.Second)
	private, public, err := newKey("newer", ends)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(public, &members); err != nil || len(members) != 6 || members["d"] != nil {
		t.Errorf("got the public half %s, %v, want six members and nothing private", public, err)
	}
	newer, err := maskinportentest.ParseKey(base64.StdEncoding.EncodeToString(private))
	if err != nil {
		t.Fatal(err)
	}
	porten.AddKey(porten.ClientID(), newer)
	vault.SetSecret(vaulttest.Secret{Name: secret, Value: string(private), Expires: ends.Add(time.Hour)})
	porten.RemoveKey(porten.ClientID(), "older")
	if _, err := p.Tokens.Token(httpclient.ContextWithConsumerOrg(t.Context(), "889640782")); err != nil || signer(porten) != "newer" {
		t.Fatalf("got a token by %v, %v, want one by the newer key", signer(porten), err)
	}

	answer := httptest.NewRecorder()
	p.Readiness.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/ready", nil))
	if want := ends.Format(`"2006-01-02T15:04:05Z"`); !strings.Contains(answer.Body.String(), want) {
		t.Errorf("got %s, want the key's end %s", answer.Body, want)
	}
	holds(t, "the readiness", answer.Body.Bytes(), blocks(t, `"clients"`))
	app.RequireStop() // the log is written
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `"outcome":"received"`) {
			holds(t, "the audit log", []byte(line), blocks(t, `"outcome"`))
			return
		}
	}
	t.Errorf("got no record of a token in %s", log.String())
}

// blocks is the page's block of JSON that holds a text.
func blocks(t *testing.T, text string) []byte {
	t.Helper()
	page, err := os.ReadFile("keys.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(block[1], text) {
			return []byte(block[1])
		}
	}
	t.Fatalf("got no block with %s", text)
	return nil
}

// holds checks that JSON has all members of the page's.
func holds(t *testing.T, what string, got, page []byte) {
	t.Helper()
	var has, want map[string]any
	if err := errors.Join(json.Unmarshal(got, &has), json.Unmarshal(page, &want)); err != nil {
		t.Fatal(err)
	}
	if missing := lacks(has, want); missing != "" {
		t.Errorf("%s: got %s, want %s as on the page", what, got, missing)
	}
}

// lacks is a member that is missing, or is of another type.
func lacks(has, want map[string]any) string {
	for name, value := range want {
		below, isObject := value.(map[string]any)
		got, isAlso := has[name].(map[string]any)
		switch {
		case has[name] == nil || isObject != isAlso:
			return name
		case isObject:
			if missing := lacks(got, below); missing != "" {
				return name + "." + missing
			}
		}
	}
	return ""
}

// Without fx the previous version signs while the newest is not registered.
func TestKeySource(t *testing.T) {
	porten, vault := servers(t)
	ends := time.Now().Add(100 * 24 * time.Hour).UTC().Truncate(time.Second)
	vault.SetSecret(vaulttest.Secret{Name: secret, Value: porten.EncodedJWK(), Expires: ends})
	vault.Set(secret, maskinportentest.NewKey("newer").EncodedJWK())
	cred, err := vault.Credential()
	if err != nil {
		t.Fatal(err)
	}
	kv, err := provider.KeyVault(provider.Config{VaultURL: vault.VaultURL(), Credential: cred.GetToken, ClientOptions: vault.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	settings, err := httpclient.ParseSettings(porten.Section())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := httpclient.NewTokenSource(settings.WithoutKeys(),
		httpclient.WithKeySource(keySource(kv)), httpclient.WithTokenTransport(porten.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()
	if _, err := tokens.Token(t.Context()); err != nil || signer(porten) != "older" {
		t.Errorf("got a token by %v, %v, want one by the previous version", signer(porten), err)
	}
	if key := tokens.Status().Key; key == nil || !key.Expires.Equal(ends) {
		t.Errorf("got %v, want the end of the secret's version, %v", key, ends)
	}
}

// A key that stays in its vault signs once its public half is registered.
func TestVaultKey(t *testing.T) {
	porten, vault := servers(t)
	key := maskinportentest.NewKey("")
	key.KeyID = "maskinporten." + vault.CreateKey(vaulttest.Key{Name: "maskinporten", Private: key.Signer()})
	cred, err := vault.Credential()
	if err != nil {
		t.Fatal(err)
	}
	source, err := vaultkey.Open(vaultkey.Config{
		Key: "maskinporten", VaultURL: vault.VaultURL(), Credential: cred.GetToken, ClientOptions: azkeys.ClientOptions(vault.ClientOptions()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if jwk, err := publicJWK(t.Context(), source); err != nil || !strings.Contains(jwk, key.KeyID) {
		t.Errorf("got %s, %v, want the public half of %s", jwk, err, key.KeyID)
	}
	porten.AddKey(porten.ClientID(), key)

	var log bytes.Buffer
	var p params
	app := fxtest.New(t, fxmodule.Config(), altinn,
		graph(t, porten, vault, &log, map[string]any{"KeyVaultKey": "maskinporten"}), fx.Populate(&p)).RequireStart()
	defer app.RequireStop()
	if _, err := p.Tokens.Token(t.Context()); err != nil || signer(porten) != key.KeyID {
		t.Errorf("got a token by %v, %v, want one by %s", signer(porten), err, key.KeyID)
	}
}

// On NAIS the token comes from Texas.
func TestNAIS(t *testing.T) {
	porten, _ := servers(t)
	texas := maskinportentest.NewTexas(porten)
	defer texas.Close()
	for _, name := range []string{"NAIS_TOKEN_ENDPOINT", "MASKINPORTEN_SCOPES", "MASKINPORTEN_ISSUER"} {
		t.Setenv(name, texas.Getenv(name))
	}
	client, err := naisClient()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
	defer api.Close()
	resp, err := client.Get(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if token := <-got; !strings.HasPrefix(token, "Bearer ") || texas.Stats().Requests != 1 {
		t.Errorf("got %q after %d requests to Texas, want a token after one", token, texas.Stats().Requests)
	}
}
