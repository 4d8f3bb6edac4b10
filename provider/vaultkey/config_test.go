package vaultkey_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const (
	exampleVault   = "https://my-vault.vault.azure.net"
	exampleVersion = "0123456789abcdef0123456789abcdef"
)

// The forms of Key, and the address that each means.
func TestKeyForms(t *testing.T) {
	t.Parallel()
	const key = exampleVault + "/keys/my-key"
	for _, c := range []struct{ key, vault, want string }{
		{key, "", key},
		{key + "/", "", key},
		{key + "/" + exampleVersion, "", key + "/" + exampleVersion},
		{"my-key", exampleVault, key},
		{"my-key", exampleVault + "/", key},
		{" my-key\n", " " + exampleVault + " ", key},
		{"my-key/" + exampleVersion, exampleVault, key + "/" + exampleVersion},
		{key + "/" + strings.ToUpper(exampleVersion), exampleVault, key + "/" + exampleVersion},
		{"https://MY-VAULT.vault.azure.net:443/keys/my-key", exampleVault, key},
		{"https://my-hsm.managedhsm.azure.net/keys/my-key", "", "https://my-hsm.managedhsm.azure.net/keys/my-key"},
	} {
		source, err := vaultkey.Open(vaultkey.Config{Key: c.key, VaultURL: c.vault, Credential: staticCredential})
		if want := "vaultkey.Source(" + c.want + ")"; err != nil || fmt.Sprint(source) != want {
			t.Errorf("%q in %q: got %v, %v, want %s", c.key, c.vault, source, err, want)
		}
		source.Close()
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	const pasted = "eyJhbGciOiJSUzI1NiJ9.eyJDQU5BUlkiOiJDQU5BUlkifQ.CANARY"
	good := vaultkey.Config{Key: exampleVault + "/keys/my-key", Credential: staticCredential}
	const noVersion = "lacks {version}: each version is a key of its own, so add it, or name a version in Key"
	for name, c := range map[string]struct {
		change func(*vaultkey.Config)
		want   string
	}{
		"no key":               {func(c *vaultkey.Config) { c.Key = " " }, "Key is empty: set the key's address, such as https://my-vault.vault.azure.net/keys/my-key"},
		"a token as key":       {func(c *vaultkey.Config) { c.Key = pasted }, "Key looks like a token (JWT): tokens are not settings"},
		"a name only":          {func(c *vaultkey.Config) { c.Key = "my-key" }, "VaultURL is empty: set the vault's address, or set Key to the key's address, such as https://my-vault.vault.azure.net/keys/my-key"},
		"no name":              {func(c *vaultkey.Config) { c.Key = exampleVault + "/keys/" }, "Key is not a key's name: set 1 to 127 letters, digits and dashes, or the key's address"},
		"an odd name":          {func(c *vaultkey.Config) { c.Key, c.VaultURL = "my_key", exampleVault }, "Key is not a key's name: set 1 to 127 letters, digits and dashes, or the key's address"},
		"an odd version":       {func(c *vaultkey.Config) { c.Key += "/1" }, "Key has a version that is not 32 hexadecimal digits: copy the Key Identifier, or leave the version out"},
		"an empty version":     {func(c *vaultkey.Config) { c.Key, c.VaultURL = "my-key/", exampleVault }, "Key has a version that is not 32 hexadecimal digits: copy the Key Identifier, or leave the version out"},
		"more than a version":  {func(c *vaultkey.Config) { c.Key += "/" + exampleVersion + "/sign" }, "Key has a version that is not 32 hexadecimal digits: copy the Key Identifier, or leave the version out"},
		"not a URL":            {func(c *vaultkey.Config) { c.Key = "https://CANARY:CANARY.host/keys/k" }, "Key is not a URL: set the key's address, such as https://my-vault.vault.azure.net/keys/my-key"},
		"plain http":           {func(c *vaultkey.Config) { c.Key = "http://my-vault.vault.azure.net/keys/my-key" }, "Key does not begin with https://"},
		"no host":              {func(c *vaultkey.Config) { c.Key = "https:///keys/my-key" }, "Key has no host"},
		"a dot":                {func(c *vaultkey.Config) { c.Key = "https://my-vault.vault.azure.net./keys/my-key" }, "Key has a host that ends with a dot: remove it"},
		"a user":               {func(c *vaultkey.Config) { c.Key = "https://u:CANARY@my-vault.vault.azure.net/keys/my-key" }, "Key holds a user name: remove it"},
		"a query":              {func(c *vaultkey.Config) { c.Key += "?CANARY=1" }, "Key goes on after the path: remove what begins with ? or #"},
		"an empty query":       {func(c *vaultkey.Config) { c.Key += "?" }, "Key goes on after the path: remove what begins with ? or #"},
		"a fragment":           {func(c *vaultkey.Config) { c.Key += "#CANARY" }, "Key goes on after the path: remove what begins with ? or #"},
		"the portal":           {func(c *vaultkey.Config) { c.Key = "https://portal.azure.com/#view/CANARY" }, `Key is a page of the Azure portal: set the "Key Identifier" that the key's page shows`},
		"a secret":             {func(c *vaultkey.Config) { c.Key = exampleVault + "/secrets/my-key" }, "Key is the address of one of the vault's secrets: set a key's, such as https://my-vault.vault.azure.net/keys/my-key"},
		"a certificate":        {func(c *vaultkey.Config) { c.Key = exampleVault + "/certificates/my-key" }, "Key is the address of one of the vault's certificates: set a key's, such as https://my-vault.vault.azure.net/keys/my-key"},
		"a vault":              {func(c *vaultkey.Config) { c.Key = exampleVault }, "Key is not a key's address: set one such as https://my-vault.vault.azure.net/keys/my-key"},
		"another vault":        {func(c *vaultkey.Config) { c.VaultURL = "https://other.vault.azure.net" }, "Key is in another vault than VaultURL: leave VaultURL empty"},
		"an odd vault":         {func(c *vaultkey.Config) { c.VaultURL = "https://CANARY host" }, "VaultURL is not a URL: set the vault's address, such as https://my-vault.vault.azure.net"},
		"a plain vault":        {func(c *vaultkey.Config) { c.VaultURL = "my-vault.vault.azure.net" }, "VaultURL goes on after the host: set the vault's address, and the key in Key"},
		"a plain vault's port": {func(c *vaultkey.Config) { c.VaultURL = "http://my-vault.vault.azure.net" }, "VaultURL does not begin with https://"},
		"a vault's key":        {func(c *vaultkey.Config) { c.VaultURL = c.Key }, "VaultURL goes on after the host: set the vault's address, and the key in Key"},
		"no credential":        {func(c *vaultkey.Config) { c.Credential = nil }, "Credential is nil: set the GetToken of one, such as azidentity.NewDefaultAzureCredential's"},
		"ES256":                {func(c *vaultkey.Config) { c.Algorithm = "ES256" }, "Algorithm is not one that Maskinporten takes: set RS256, RS384 or RS512"},
		"lower case":           {func(c *vaultkey.Config) { c.Algorithm = "rs256" }, "Algorithm is not one that Maskinporten takes: set RS256, RS384 or RS512"},
		"negative":             {func(c *vaultkey.Config) { c.Timeout = -time.Second }, "Timeout -1s is negative: set how long a signature may take"},
		"a fixed key id":       {func(c *vaultkey.Config) { c.KeyID = "my-id" }, "KeyID " + noVersion},
		"a key id with a name": {func(c *vaultkey.Config) { c.KeyID = "{name}" }, "KeyID " + noVersion},
		"a token as key id":    {func(c *vaultkey.Config) { c.KeyID = pasted }, "KeyID looks like a token (JWT): tokens are not settings"},
		"a space in a key id":  {func(c *vaultkey.Config) { c.KeyID = "my {version}" }, "KeyID holds a character that is not visible ASCII: use letters, digits, dots and dashes"},
		"a letter of another":  {func(c *vaultkey.Config) { c.KeyID = "nøkkel-{version}" }, "KeyID holds a character that is not visible ASCII: use letters, digits, dots and dashes"},
	} {
		cfg := good
		c.change(&cfg)
		_, err := vaultkey.Open(cfg)
		if message(err) != "vaultkey: "+c.want {
			t.Errorf("%s: got  %v\nwant vaultkey: %s", name, err, c.want)
		}
		if strings.Contains(message(err)+prints(cfg), "CANARY") {
			t.Errorf("%s: what was pasted is in %v or in %s", name, err, prints(cfg))
		}
	}
	// All at once, one a line.
	_, err := vaultkey.Open(vaultkey.Config{Algorithm: "none", Timeout: -1})
	if got := strings.Split(message(err), "\n"); len(got) != 4 {
		t.Errorf("got %q, want four problems", got)
	}
}

// The key id is what KeyID makes of name and version.
func TestKeyID(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	version := srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
	for _, c := range []struct{ key, keyID, want string }{
		{keyName, "", "maskinporten-key." + version},
		{strings.ToUpper(keyName), "", "maskinporten-key." + version},
		{keyName, "my-service-{version}", "my-service-" + version},
		{keyName, "{version}/{name}", version + "/maskinporten-key"},
		{keyName + "/" + version, "my-id", "my-id"},
	} {
		cfg := configFor(t, srv)
		cfg.Key, cfg.KeyID, cfg.Algorithm = c.key, c.keyID, "RS512"
		key := newest(t, open(t, cfg), 1)[0]
		if key.KeyID() != c.want || key.Algorithm() != "RS512" {
			t.Errorf("%q of %s: got %s and %s, want %s and RS512", c.keyID, c.key, key.KeyID(), key.Algorithm(), c.want)
		}
	}
}

// The public JWK is what Digdir registers: no private member, no certificate.
func TestPublicJWK(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	key := one(t, srv)
	var got map[string]string
	if err := json.Unmarshal([]byte(key.PublicJWK()), &got); err != nil {
		t.Fatal(err)
	}
	n, e := got["n"], got["e"]
	delete(got, "n")
	want := map[string]string{"kty": "RSA", "use": "sig", "kid": key.KeyID(), "alg": "RS256", "e": "AQAB"}
	if diff := cmp.Diff(want, got); diff != "" || e != "AQAB" {
		t.Error(diff)
	}
	if want := public(firstKey()); n != want {
		t.Errorf("got n %s, want %s", n, want)
	}
}

// Nil and zero values give errors and zero results, and nothing panics.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	for _, key := range []*vaultkey.Key{nil, {}} {
		if key.KeyID() != "" || key.Algorithm() != "" || key.Version() != "" || key.Public() != nil || key.PublicJWK() != "" ||
			!key.Created().IsZero() || !key.Expires().IsZero() || key.String() != "no key" || key.LogValue().String() != "no key" || fmt.Sprint(key) != "no key" {
			t.Errorf("got %v, want no key", key)
		}
	}
	for _, source := range []*vaultkey.Source{nil, {}} {
		source.Close()
		if _, err := source.Newest(t.Context(), 1); message(err) != "vaultkey: the Source is nil or zero: make it with Open" {
			t.Errorf("got %v, want an error", err)
		}
		if got := fmt.Sprint(source); got != "vaultkey.Source()" {
			t.Errorf("got %s, want a source of nothing", got)
		}
	}
	var none *vaultkey.Error
	if none.Error() != "vaultkey: no error" || none.Unwrap() != nil {
		t.Errorf("got %v, want no error", none)
	}
	if _, err := vaultkey.Open(vaultkey.Config{}); err == nil {
		t.Error("got a source of the zero Config, want an error")
	}
	// A zero Logger counts as nil.
	source, err := vaultkey.Open(vaultkey.Config{Key: exampleVault + "/keys/k", Credential: staticCredential, Logger: new(slog.Logger)})
	if err != nil {
		t.Errorf("got %v, want a source", err)
	}
	source.Close()
}

// What has signed prints its names, and neither the token nor the client's secret, which
// is out of the reach of reflection too.
func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
	cfg := configFor(t, srv)
	source := open(t, cfg)
	key := newest(t, source, 1)[0]
	holder := struct {
		Config vaultkey.Config
		Source *vaultkey.Source
		Key    *vaultkey.Key
		copied vaultkey.Key
		inner  struct{ source *vaultkey.Source }
	}{cfg, source, key, *key, struct{ source *vaultkey.Source }{source}}
	holder.Config.ClientOptions.Transport = nil // the test server's own transport
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("holder", "key", key, "source", fmt.Sprint(source), "config", fmt.Sprint(cfg))
	printed := prints(holder) + prints(&holder) + prints(cfg) + prints(source) + prints(key) + log.String() + logtest.Reachable(holder)
	for _, secret := range []string{srv.ClientSecret(), "vaulttest-token", firstKey().D.String()} {
		if strings.Contains(printed, secret) {
			t.Errorf("got %s in print, want it hidden", secret[:10])
		}
	}
	address := srv.VaultURL() + "/keys/" + keyName
	for got, want := range map[string]string{
		fmt.Sprintf("%+v", cfg):    `vaultkey.Config{Key: "` + address + `"}`,
		fmt.Sprintf("%#v", source): "vaultkey.Source(" + address + ")",
		fmt.Sprintf("%x", key):     "key " + key.KeyID() + " (RS256) at " + address + "/" + key.Version(),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
