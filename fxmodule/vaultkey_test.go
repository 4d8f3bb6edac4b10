package fxmodule_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const vaultKeyName = "Maskinporten-Key"

// makes has the vault make a version of the key, and returns the key as Maskinporten is
// to know it.
func (b *bubble) makes(key maskinportentest.Key) maskinportentest.Key {
	version := b.vault.CreateKey(vaulttest.Key{Name: vaultKeyName, Private: key.Signer()})
	key.KeyID = strings.ToLower(vaultKeyName) + "." + version
	return key
}

// A key that never leaves the vault signs: by name, by address, with a version, as whom
// the settings or the program say.
func TestKeyVaultKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// set names the key in the settings; version is its only one.
		set func(t *testing.T, b *bubble, version string) (cfg vaultkey.Config, kid string)
	}{
		"by its name": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName})
			return vaultkey.Config{}, ""
		}},
		"by its address": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": b.vault.VaultURL() + "/keys/" + vaultKeyName})
			return vaultkey.Config{}, ""
		}},
		"over a key of an earlier source": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "EncodedJwk": olderKey().EncodedJWK()})
			b.file(t, "appsettings.Production.json", map[string]any{"MaskinportenSettings": map[string]any{"KeyVaultKey": vaultKeyName}})
			return vaultkey.Config{}, ""
		}},
		"from the vault's secrets": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID()})
			b.vault.Set("MaskinportenSettings--KeyVaultKey", vaultKeyName)
			return vaultkey.Config{}, ""
		}},
		"a version, under an id of its own": {func(t *testing.T, b *bubble, version string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName + "/" + version, "Kid": "my-own-id"})
			return vaultkey.Config{}, "my-own-id"
		}},
		"an id by the program": {func(t *testing.T, b *bubble, version string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName, "Kid": "unused"})
			return vaultkey.Config{KeyID: "v-{version}"}, "v-" + version
		}},
		"the program's own key": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": "of-the-settings"})
			return vaultkey.Config{Key: vaultKeyName}, ""
		}},
		"all by the program": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.file(t, "appsettings.json", map[string]any{"MaskinportenSettings": map[string]any{"Environment": b.porten.Issuer(), "ClientId": b.porten.ClientID(), "Scope": scopeOf(b)}})
			return vaultkey.Config{Key: vaultKeyName, VaultURL: b.vault.VaultURL(), Credential: credentialOf(t, b.vault), ClientOptions: azkeys.ClientOptions(b.vault.ClientOptions())}, ""
		}},
		"the program's identity": {func(t *testing.T, b *bubble, _ string) (vaultkey.Config, string) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName})
			b.kv.CredentialOptions = provider.ConnectConfig{}.CredentialOptions
			b.kv.Credential = credentialOf(t, b.vault)
			return vaultkey.Config{}, ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				version := b.vault.CreateKey(vaulttest.Key{Name: vaultKeyName, Private: newerKey().Signer()})
				cfg, kid := c.set(t, b, version)
				if kid == "" {
					kid = strings.ToLower(vaultKeyName) + "." + version
				}
				key := newerKey()
				key.KeyID = kid
				b.porten.AddKey(b.porten.ClientID(), key)
				source := b.start(t, fxmodule.KeyVaultKey(cfg))
				if stats := b.vault.Stats(); stats.KeyGets+stats.KeyVersionLists+stats.Signs != 0 {
					t.Errorf("got %+v before the first token, want nothing asked of the key", stats)
				}
				if order := b.run(t, source, 3*time.Second, nil); !slices.Equal(order, []string{kid}) || b.vault.Stats().Signs != 1 {
					t.Errorf("got %v and %d signatures, want one by %s", order, b.vault.Stats().Signs, kid)
				}
				if strings.Contains(b.told(), "level=WARN") {
					t.Errorf("got %s, want no warning", b.told())
				}
			})
		})
	}
}

func scopeOf(b *bubble) any { return b.porten.Section()["Scope"] }

func credentialOf(t *testing.T, vault *vaulttest.Server) provider.Credential {
	t.Helper()
	cred, err := vault.Credential()
	if err != nil {
		t.Fatal(err)
	}
	return cred.GetToken
}

// The vault makes a new version before Maskinporten knows it. The previous one signs until
// then, and no token is missing.
func TestKeyVaultKeyRotates(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName})
		older := b.makes(olderKey())
		b.porten.AddKey(b.porten.ClientID(), older)
		source := b.start(t, fxmodule.KeyVaultKey(vaultkey.Config{}))
		var newer maskinportentest.Key
		order := b.run(t, source, 18*time.Minute, map[time.Duration]func(){
			time.Minute:      func() { newer = b.makes(newerKey()) },
			9 * time.Minute:  func() { b.porten.AddKeyAfter(b.porten.ClientID(), newer, 2*time.Minute) },
			16 * time.Minute: func() { b.porten.RemoveKey(b.porten.ClientID(), older.KeyID) },
		})
		if want := []string{older.KeyID, newer.KeyID}; !slices.Equal(order, want) {
			t.Errorf("got signatures by %v, want %v", order, want)
		}
	})
}

// A graph with settings of its own names the vault and the identity, too.
func TestKeyVaultKeyWithoutConfig(t *testing.T) {
	for name, inGraph := range map[string]func(t *testing.T, b *bubble) (map[string]any, fx.Option){
		"kvSetting": func(_ *testing.T, b *bubble) (map[string]any, fx.Option) {
			return b.vault.KVSetting(), fx.Supply(b.kv)
		},
		"a credential": func(t *testing.T, b *bubble) (map[string]any, fx.Option) {
			b.kv.CredentialOptions = provider.ConnectConfig{}.CredentialOptions
			return map[string]any{"SecretUri": b.vault.VaultURL()}, fx.Options(fx.Supply(b.kv), fx.Provide(func() azcore.TokenCredential { return credentialOf(t, b.vault) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.porten.AddKey(b.porten.ClientID(), b.makes(newerKey()))
				kv, opt := inGraph(t, b)
				section := b.porten.Section()
				delete(section, "EncodedJwk")
				section["KeyVaultKey"] = vaultKeyName
				k := koanf.New(":")
				if err := k.Load(confmap.Provider(map[string]any{"kvSetting": kv, "MaskinportenSettings": section}, ""), nil); err != nil {
					t.Fatal(err)
				}
				var got altinn
				app := fxtest.New(t, fx.NopLogger, fx.Supply(b.log.Logger(), k), opt, inGroup(httpclient.WithTokenTransport(b.porten.Transport())),
					fxmodule.Module("altinn", fxmodule.KeyVaultKey(vaultkey.Config{})), fx.Populate(&got))
				app.RequireStart()
				defer app.RequireStop()
				if _, err := got.Source.Token(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The key that counts is that of the latest source, with the option too: a developer's
// file may hold one.
func TestKeyVaultKeyGivesWay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.app.Environment = "Development"
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName})
		b.file(t, "appsettings.Local.json", map[string]any{"MaskinportenSettings": map[string]any{"EncodedJwk": olderKey().EncodedJWK()}})
		source := b.start(t, fxmodule.KeyVaultKey(vaultkey.Config{}), fxmodule.ReloadKeys())
		if order := b.run(t, source, 3*time.Minute, nil); !slices.Equal(order, []string{"older"}) || strings.Contains(b.told(), "level=WARN") {
			t.Errorf("got signatures by %v and the log %s, want those of the local file's key", order, b.told())
		}
	})
}

// Stopping the application ends what the keys keep open.
func TestKeyVaultKeyEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "KeyVaultKey": vaultKeyName})
		b.porten.AddKey(b.porten.ClientID(), b.makes(newerKey()))
		var got altinn
		app := fxtest.New(t, b.graph(fxmodule.Module("altinn", fxmodule.KeyVaultKey(vaultkey.Config{})), fx.Populate(&got))...)
		app.RequireStart()
		if _, err := got.Source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		app.RequireStop()
		if _, err := got.Source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

// What is wrong is told by the settings' names, with what to do.
func TestKeyVaultKeyErrors(t *testing.T) {
	t.Parallel()
	const section = "MaskinportenSettings"
	version := strings.Repeat("a", 32)
	for name, c := range map[string]struct {
		settings map[string]any
		opt      fxmodule.Option
		want     string
	}{
		"no option": {
			map[string]any{"KeyVaultKey": vaultKeyName},
			nil,
			"httpclient: KeyVaultKey (appsettings.Production.json) names a key that stays in its vault: give fxmodule.Module the option KeyVaultKey, or NewTokenSource",
		},
		"reloading only": {map[string]any{"KeyVaultKey": vaultKeyName}, fxmodule.ReloadKeys(), "give fxmodule.Module the option KeyVaultKey"},
		"not a name":     {map[string]any{"KeyVaultKey": "a key"}, fxmodule.KeyVaultKey(vaultkey.Config{}), "fxmodule: check KeyVaultKey (appsettings.Production.json) - vaultkey: Key is not a key's name"},
		"a secret's address": {
			map[string]any{"KeyVaultKey": "https://my-vault.vault.azure.net/secrets/x"},
			fxmodule.KeyVaultKey(vaultkey.Config{}),
			"fxmodule: check KeyVaultKey (appsettings.Production.json) - vaultkey: Key is the address of one of the vault's secrets",
		},
		"an id for every version": {
			map[string]any{"KeyVaultKey": vaultKeyName, "Kid": "mine"},
			fxmodule.KeyVaultKey(vaultkey.Config{}),
			"fxmodule: remove Kid (appsettings.Production.json), or name a version in KeyVaultKey (appsettings.Production.json) - each version",
		},
		"an id that is none": {
			map[string]any{"KeyVaultKey": vaultKeyName + "/" + version, "Kid": "mi ne"},
			fxmodule.KeyVaultKey(vaultkey.Config{}),
			"fxmodule: check KeyVaultKey (appsettings.Production.json) and Kid (appsettings.Production.json) - vaultkey: KeyID",
		},
		"the program's key beside one": {
			map[string]any{"EncodedJwk": testKey().EncodedJWK()},
			fxmodule.KeyVaultKey(vaultkey.Config{Key: vaultKeyName}),
			"fxmodule: remove EncodedJwk (appsettings.Production.json), or Key of vaultkey.Config: each is a key",
		},
		"the program's key is wrong": {map[string]any{}, fxmodule.KeyVaultKey(vaultkey.Config{Key: "a key"}), "fxmodule: check Key of vaultkey.Config - vaultkey: Key"},
		"beside another key of the same source": {
			map[string]any{"KeyVaultKey": vaultKeyName, "EncodedJwk": testKey().EncodedJWK()}, fxmodule.KeyVaultKey(vaultkey.Config{}), "each hold a key: keep one of them",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.vault.Delete(section + "--EncodedJwk")
			w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting(), section: c.settings})
			err := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers(), c.opt), fx.Invoke(func(altinn) {}))...).Err()
			if err == nil || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	t.Run("no vault", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.file(t, "appsettings.Production.json", map[string]any{section: map[string]any{"ClientId": "x", "KeyVaultKey": vaultKeyName}})
		err := fx.New(w.app(w.config(), fxmodule.Module("altinn", fxmodule.KeyVaultKey(vaultkey.Config{})), fx.Invoke(func(altinn) {}))...).Err()
		if err == nil || !strings.Contains(err.Error(), "provider: set kvSetting:ClientId") {
			t.Errorf("got %v, want what kvSetting lacks", err)
		}
	})
}

// Settings that the program makes itself know no sources.
func TestKeyVaultKeyOfTheProgramsSettings(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		key := b.makes(newerKey())
		version := key.KeyID[strings.LastIndex(key.KeyID, ".")+1:]
		key.KeyID = "my-own-id"
		b.porten.AddKey(b.porten.ClientID(), key)
		source := b.start(t, fxmodule.KeyVaultKey(vaultkey.Config{}), fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
			*s = httpclient.MaskinportenSettings{Environment: b.porten.Issuer(), ClientID: b.porten.ClientID(), Scope: scope, KeyVaultKey: vaultKeyName + "/" + version, KeyID: "my-own-id"}
		}))
		if order := b.run(t, source, time.Second, nil); !slices.Equal(order, []string{"my-own-id"}) {
			t.Errorf("got signatures by %v, want by the settings' key", order)
		}
	})
}
