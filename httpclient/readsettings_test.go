package httpclient_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// settingsFile is a file of settings as Altinn's platform mounts it, with this key.
func settingsFile(t testing.TB, clientID, jwk string) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"MaskinportenSettings": map[string]any{
		"Jwk": json.RawMessage(jwk), "ClientId": clientID, "Authority": "https://test.maskinporten.no/",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// written is the path of a file with this text.
func written(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSettings(t *testing.T) {
	t.Parallel()
	jwk := keyFile(t, "client.jwk.json")
	whole := settingsFile(t, "a-client", jwk)
	for name, c := range map[string]struct{ text, section string }{
		"as it is mounted":       {whole, ""},
		"with a byte order mark": {"\xef\xbb\xbf" + whole + "\n", ""},
		"in another case":        {strings.Replace(whole, "MaskinportenSettings", "maskinportenSETTINGS", 1), ""},
		"in another section":     {strings.Replace(whole, "MaskinportenSettings", "Other", 1), "other"},
	} {
		settings, err := httpclient.ReadSettings(written(t, "maskinporten-settings.json", c.text), c.section)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if settings.ClientID != "a-client" || settings.Authority != "https://test.maskinporten.no/" || settings.JWK.IsZero() {
			t.Errorf("%s: got %+v, want client, authority and key", name, settings)
		}
		// What is wrong with a setting names the file.
		settings.ClientID, settings.Scope = "", "a:b"
		want := "httpclient: ClientId (maskinporten-settings.json) is missing: set it to the client's id in Maskinporten"
		if err := settings.Validate(); message(err) != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	settings, err := httpclient.ReadSettings(written(t, "s.json", `{"MaskinportenSettings":{"Jwk":{"exp":9007199254740993}}}`), "")
	if want := `{"exp":9007199254740993}`; err != nil || settings.JWK.Reveal() != want {
		t.Errorf("got %s and error %v, want the number as it was written: %s", settings.JWK.Reveal(), err, want)
	}
}

// A certificate's path begins beside the file.
func TestReadSettingsKnowsItsDirectory(t *testing.T) {
	t.Parallel()
	path := written(t, "s.json", `{"MaskinportenSettings":{"CertificatePkcs12Path":"cert.p12"}}`)
	settings, err := httpclient.ReadSettings(path, "")
	if err != nil || settings.BaseDir != filepath.Dir(path) {
		t.Errorf("got directory %q and error %v, want %q", settings.BaseDir, err, filepath.Dir(path))
	}
}

func TestReadSettingsRefuses(t *testing.T) {
	t.Parallel()
	whole := settingsFile(t, "a-client", keyFile(t, "client.jwk.json"))
	dir := t.TempDir()
	for name, c := range map[string]struct{ path, section, want string }{
		"no file":          {filepath.Join(dir, "none.json"), "", "httpclient: correct the path of none.json - no such file or directory"},
		"a directory":      {dir, "", "httpclient: let this program read " + filepath.Base(dir) + " - is a directory"},
		"an empty file":    {written(t, "s.json", ""), "", "httpclient: correct s.json - it is not whole JSON (from byte 0 of 0)"},
		"half a file":      {written(t, "s.json", `{"MaskinportenSettings":{"ClientId":"CANARY`), "", "httpclient: correct s.json - it is not whole JSON (from byte 0 of 43)"},
		"more than a file": {written(t, "s.json", whole+"}"), "", "httpclient: correct s.json - it goes on after its JSON"},
		"two files":        {written(t, "s.json", whole+whole), "", "httpclient: correct s.json - it goes on after its JSON"},
		"a list":           {written(t, "s.json", `["CANARY"]`), "", "httpclient: correct s.json - it is not whole JSON"},
		"null":             {written(t, "s.json", `null`), "", "httpclient: correct s.json - it has no section MaskinportenSettings"},
		"no section":       {written(t, "s.json", `{"CANARY":{}}`), "", "httpclient: correct s.json - it has no section MaskinportenSettings"},
		"not a section":    {written(t, "s.json", `{"MaskinportenSettings":"CANARY"}`), "", "httpclient: correct s.json - it has no section MaskinportenSettings"},
		"too large":        {written(t, "s.json", strings.Repeat(" ", 1<<20)+whole), "", "httpclient: correct s.json - it is over 1024 KB"},
		"a wrong setting":  {written(t, "s.json", `{"MaskinportenSettings":{"ClientId":["CANARY"]}}`), "", "httpclient: ClientId (s.json) is a list, not a text"},
		"a token as path":  {"eyJhbGciOiJSUzI1NiJ9.eyJDQU5BUlkiOiJDQU5BUlkifQ.CANARY", "", "httpclient: ReadSettings: the path looks like a token (JWT): tokens are not settings"},
		"a token as name":  {written(t, "s.json", whole), "eyJhbGciOiJSUzI1NiJ9.eyJDQU5BUlkiOiJDQU5BUlkifQ.CANARY", "httpclient: ReadSettings: the section looks like a token (JWT): tokens are not settings"},
		"nothing":          {"", "", "httpclient: ReadSettings: the path is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := httpclient.ReadSettings(c.path, c.section)
			if !strings.HasPrefix(message(err), c.want) || strings.Contains(message(err), "CANARY") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// The settings without keys are those that go beside a key source.
func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	secret := httpclient.NewSecret("x")
	s := httpclient.MaskinportenSettings{
		Environment: "test", ClientID: "id", Scope: "s",
		EncodedJWK: secret, JWKS: secret, JWK: secret, EncodedX509: secret, CertificatePKCS12Path: "p", CertificatePKCS12Password: secret,
		CertificateStoreThumbprint: "t", KeyID: "k",
	}
	var out logs
	source, err := httpclient.NewTokenSource(s.WithoutKeys(), httpclient.WithKeySource(keys(signingKey(t))), httpclient.WithLogger(out.logger(0)))
	if err != nil || out.String() != "" {
		t.Errorf("got error %v and log %s, want neither", err, out.String())
	}
	source.Close()
	if s.EncodedJWK.IsZero() || s.KeyID == "" {
		t.Error("got the settings themselves changed, want a copy")
	}
}

func TestKeysFromSettings(t *testing.T) {
	t.Parallel()
	jwk := keyFile(t, "client.jwk.json")
	cause := errors.New("the vault is closed")
	for name, c := range map[string]struct {
		settings httpclient.MaskinportenSettings
		fail     error
		want     []string
		wrong    string
	}{
		"a key":           {settings: httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwk)}, want: []string{olderID}},
		"with its id":     {settings: httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwk), KeyID: "mine"}, want: []string{"mine"}},
		"nothing else":    {settings: httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwk), Environment: "none", ClientID: "any"}, want: []string{olderID}},
		"no key":          {wrong: "httpclient: EncodedJwk is missing"},
		"half a key":      {settings: httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwk[:100])}, wrong: "httpclient: Jwk is not whole JSON: it may have been cut; set it again"},
		"a key as its id": {settings: httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwk), KeyID: jwk}, wrong: "httpclient: Kid looks like a private key (JWK)"},
		"a failure":       {fail: cause, wrong: "the vault is closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := httpclient.KeysFromSettings(func(context.Context) (httpclient.MaskinportenSettings, error) { return c.settings, c.fail })
			list, err := read(t.Context())
			var got []string
			for _, key := range list {
				got = append(got, key.KeyID())
			}
			if diff := cmp.Diff(c.want, got); diff != "" || !strings.HasPrefix(message(err), c.wrong) || (err == nil) != (c.wrong == "") {
				t.Errorf("got error %v and keys (-want +got):\n%s", err, diff)
			}
			if c.fail != nil && !errors.Is(err, c.fail) {
				t.Errorf("got %v, want the cause", err)
			}
		})
	}
	if _, err := httpclient.KeysFromSettings(nil)(t.Context()); message(err) != "httpclient: give KeysFromSettings a function that reads settings - it is nil" {
		t.Errorf("got %v, want an error about nil", err)
	}
}

// A ClientId that changes is not taken over, nor are its keys. One warning says that it
// takes a restart, whatever else went wrong before.
func TestChangedClientID(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	const clientID = "maskinportentest-client"
	path := written(t, "s.json", settingsFile(t, clientID, older))
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0)
		defer r.close()
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.does(httpclient.KeysFromSettings(func(context.Context) (httpclient.MaskinportenSettings, error) {
			return httpclient.ReadSettings(path, "")
		}))
		r.fetches(1, olderID)
		const restart = keptKeys + ` error="httpclient: restart to take over the new ClientId (s.json) - it differs from the one in use, and a key belongs to one client"`
		for i, text := range []string{"{", settingsFile(t, "another", newer), "{", settingsFile(t, "another", newer)} {
			write(text)
			pass(time.Minute)
			r.fetches(1, olderID)
			r.wantLog(map[string]int{keptKeys: min(2, i+1), restart: min(1, i)})
		}
		write(settingsFile(t, clientID, newer))
		pass(time.Minute)
		r.fetches(1, olderID)
		r.wantLog(map[string]int{readAgain: 1})
		r.fetches(1, newerID)
	})
	// At the first reading it is an error like any other.
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0)
		defer r.close()
		r.does(httpclient.KeysFromSettings(func(context.Context) (httpclient.MaskinportenSettings, error) {
			return httpclient.MaskinportenSettings{ClientID: "another", JWK: httpclient.NewSecret(older)}, nil
		}))
		want := "httpclient: restart to take over the new ClientId - signing key of client maskinportentest-client: it differs from the one in use, and a key belongs to one client"
		if err := r.fetch(); message(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// jwksFile is a file of settings as Altinn's platform mounts it, with these keys.
func jwksFile(t testing.TB, clientID string, keys ...maskinportentest.Key) string {
	t.Helper()
	var list []json.RawMessage
	for _, key := range keys {
		jwk, err := base64.StdEncoding.DecodeString(key.EncodedJWK())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, jwk)
	}
	data, err := json.Marshal(map[string]any{"MaskinportenSettings": map[string]any{
		"Jwks": map[string]any{"keys": list}, "Jwk": list[0], "ClientId": clientID, "Authority": "https://test.maskinporten.no/",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
