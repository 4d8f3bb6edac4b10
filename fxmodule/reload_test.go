package fxmodule_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
)

// jwkOf is a key as the settings Jwk and Jwks hold it.
func jwkOf(t *testing.T, key maskinportentest.Key) map[string]any {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(key.EncodedJWK())
	var members map[string]any
	if err = errors.Join(err, json.Unmarshal(data, &members)); err != nil {
		t.Fatal(err)
	}
	return members
}

const clientSecret, keySecret = "MaskinportenSettings--ClientId", "MaskinportenSettings--EncodedJwk"

// rotates is what becomes of the keys: after a minute the application's own is replaced.
// Somebody registers the newer one eight minutes later, and it takes two minutes to work.
// The older one is removed at last.
func (b *bubble) rotates(replace func()) map[time.Duration]func() {
	return map[time.Duration]func(){
		time.Minute:      replace,
		9 * time.Minute:  func() { b.porten.AddKeyAfter(b.porten.ClientID(), newerKey(), 2*time.Minute) },
		16 * time.Minute: func() { b.porten.RemoveKey(b.porten.ClientID(), "older") },
	}
}

// ofMap is a secret that holds both settings, for the case with Map.
func ofMap(b *bubble, key maskinportentest.Key) string {
	return fmt.Sprintf(`{"ClientId": %q, "EncodedJwk": %q}`, b.porten.ClientID(), key.EncodedJWK())
}

// A new key is taken over where the old one came from, and no token is missing.
func TestReloadKeys(t *testing.T) {
	t.Parallel()
	mounted := func(b *bubble, keys ...any) map[string]any {
		return map[string]any{"MaskinportenSettings": map[string]any{
			"ClientId": b.porten.ClientID(), "Authority": b.porten.Issuer(), "Jwk": keys[0], "Jwks": map[string]any{"keys": keys},
		}}
	}
	reference := func(b *bubble) string {
		return fmt.Sprintf("@Microsoft.KeyVault(SecretUri=%s/secrets/the-key)", b.vault.VaultURL())
	}
	for name, c := range map[string]struct {
		before, replace func(t *testing.T, b *bubble)
	}{
		"Altinn's mounted file": {
			before: func(t *testing.T, b *bubble) {
				b.section(t, map[string]any{"Environment": nil})
				b.file(t, "mounted.json", mounted(b, jwkOf(t, olderKey())))
			},
			replace: func(t *testing.T, b *bubble) {
				b.file(t, "mounted.json", mounted(b, jwkOf(t, newerKey()), jwkOf(t, olderKey())))
			},
		},
		"the app's own file, in another form": {
			before: func(t *testing.T, b *bubble) {
				b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "JwkBase64": olderKey().EncodedJWK()})
			},
			replace: func(t *testing.T, b *bubble) {
				b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "Jwks": []any{jwkOf(t, newerKey()), jwkOf(t, olderKey())}})
			},
		},
		"a file, with the vault's ClientId": {
			before: func(t *testing.T, b *bubble) {
				b.vault.Set(clientSecret, b.porten.ClientID())
				b.section(t, map[string]any{"ClientId": "of-the-file", "EncodedJwk": olderKey().EncodedJWK()})
			},
			replace: func(t *testing.T, b *bubble) {
				b.section(t, map[string]any{"ClientId": "of-the-file", "Jwks": []any{jwkOf(t, newerKey()), jwkOf(t, olderKey())}})
			},
		},
		"the vault": {
			before: func(_ *testing.T, b *bubble) {
				b.vault.Set(clientSecret, b.porten.ClientID())
				b.vault.Set(keySecret, olderKey().EncodedJWK())
			},
			replace: func(_ *testing.T, b *bubble) { b.vault.Set(keySecret, newerKey().EncodedJWK()) },
		},
		"the vault, by the setting's other name": {
			before: func(t *testing.T, b *bubble) {
				b.section(t, map[string]any{"ClientId": b.porten.ClientID()})
				b.vault.Set("MASKINPORTENSETTINGS--jwkbase64", olderKey().EncodedJWK())
			},
			replace: func(_ *testing.T, b *bubble) { b.vault.Set("MASKINPORTENSETTINGS--jwkbase64", newerKey().EncodedJWK()) },
		},
		"the vault, through Map": {
			before: func(_ *testing.T, b *bubble) {
				b.kv.Map = func(name, value string) (string, any) {
					var v any
					_ = json.Unmarshal([]byte(value), &v)
					return strings.ReplaceAll(name, "all-of", "MaskinportenSettings"), v
				}
				b.vault.Set("all-of", ofMap(b, olderKey()))
			},
			replace: func(_ *testing.T, b *bubble) { b.vault.Set("all-of", ofMap(b, newerKey())) },
		},
		"a reference": {
			before: func(t *testing.T, b *bubble) {
				b.vault.Set("the-key", olderKey().EncodedJWK())
				b.vault.Set("the-client", b.porten.ClientID())
				b.section(t, map[string]any{"EncodedJwk": reference(b), "ClientId": strings.Replace(reference(b), "the-key", "the-client", 1)})
			},
			replace: func(_ *testing.T, b *bubble) { b.vault.Set("the-key", newerKey().EncodedJWK()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				c.before(t, b)
				source := b.start(t, fxmodule.ReloadKeys())
				order := b.run(t, source, 18*time.Minute, b.rotates(func() { c.replace(t, b) }))
				if want := []string{"older", "newer"}; !slices.Equal(order, want) {
					t.Errorf("got signatures by %v, want %v", order, want)
				}
			})
		})
	}
}

// The newest version of the secret is not registered yet when the application starts.
func TestReloadKeysAtTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.vault.Set(clientSecret, b.porten.ClientID())
		b.vault.Set(keySecret, olderKey().EncodedJWK())
		<-time.After(time.Second) // times of versions are in whole seconds
		b.vault.Set(keySecret, newerKey().EncodedJWK())
		source := b.start(t, fxmodule.ReloadKeys(), fxmodule.WarmUp())
		if order := b.run(t, source, time.Minute, nil); !slices.Equal(order, []string{"older"}) {
			t.Errorf("got signatures by %v, want by the version that is registered", order)
		}
	})
}

// An idle application reads nothing, and a busy one reads at its pace.
func TestReloadKeysReadsAtItsPace(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.vault.Set(clientSecret, b.porten.ClientID())
		b.vault.Set(keySecret, olderKey().EncodedJWK())
		source := b.start(t, fxmodule.ReloadKeys())
		before := b.vault.Stats()
		<-time.After(time.Hour)
		b.run(t, source, 9*time.Minute, nil) // reads after 0 and 5 minutes
		after := b.vault.Stats()
		// Two secrets: the key's, and the id's.
		if lists, gets, tokens := after.VersionLists-before.VersionLists, after.Gets-before.Gets, after.Tokens-before.Tokens; lists != 4 || gets != 4 || tokens > 1 {
			t.Errorf("got %d lists, %d gets and %d tokens, want 4, 4 and one at most", lists, gets, tokens)
		}
	})
}

// There is nothing to read again for some keys, which a warning tells. The client works.
func TestReloadKeysHasNothingToRead(t *testing.T) {
	for name, c := range map[string]struct {
		before func(t *testing.T, b *bubble) fxmodule.Option
		want   string
	}{
		"a variable": {func(_ *testing.T, b *bubble) fxmodule.Option {
			variables := []string{"MaskinportenSettings__ClientId=" + b.porten.ClientID(), "MaskinportenSettings__EncodedJwk=" + olderKey().EncodedJWK()}
			b.app.Environ = func() []string { return variables }
			return nil
		}, "EncodedJwk (environment variable MaskinportenSettings__EncodedJwk) does not change while the application runs"},
		"an argument": {func(_ *testing.T, b *bubble) fxmodule.Option {
			args := []string{"--MaskinportenSettings:ClientId", b.porten.ClientID(), "--MaskinportenSettings:EncodedJwk", olderKey().EncodedJWK()}
			b.app.Args = func() []string { return args }
			return nil
		}, "EncodedJwk (argument --MaskinportenSettings:EncodedJwk) does not change while the application runs"},
		"the program": {func(_ *testing.T, b *bubble) fxmodule.Option {
			return fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
				s.ClientID, s.EncodedJWK = b.porten.ClientID(), httpclient.NewSecret(olderKey().EncodedJWK())
			})
		}, "EncodedJwk is not from a file or a vault"},
		"a version by reference": {func(t *testing.T, b *bubble) fxmodule.Option {
			b.vault.Set("the-key", olderKey().EncodedJWK())
			b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "EncodedJwk": fmt.Sprintf("@Microsoft.KeyVault(SecretUri=%s/secrets/the-key/%s)", b.vault.VaultURL(), b.version(t, "the-key"))})
			return nil
		}, "is a reference that names a version"},
		"several secrets": {func(t *testing.T, b *bubble) fxmodule.Option {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID()})
			for member, value := range jwkOf(t, olderKey()) {
				b.vault.Set("MaskinportenSettings--Jwk--"+member, fmt.Sprint(value))
			}
			return nil
		}, "Jwk is put together of several sources"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				opt := c.before(t, b)
				b.run(t, b.start(t, fxmodule.ReloadKeys(), opt), 2*time.Minute, nil)
				const cure = `WARN msg="fxmodule: remove ReloadKeys, or keep the key in a mounted file or in Key Vault - client \"altinn\": `
				if log := b.told(); strings.Count(log, cure) != 1 || !strings.Contains(log, c.want) {
					t.Errorf("got the log\n%s\nwant one warning with %s", log, c.want)
				}
			})
		})
	}
}

// version is the id of a secret's newest version.
func (b *bubble) version(t *testing.T, secret string) string {
	t.Helper()
	cred, err := b.vault.Credential()
	if err != nil {
		t.Fatal(err)
	}
	vault, err := provider.KeyVault(provider.Config{VaultURL: b.vault.VaultURL(), Credential: cred.GetToken, ClientOptions: b.vault.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	versions, err := vault.Versions(t.Context(), secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	return versions[0].Version
}

// What is wrong where the key came from is told once, and the keys in use stay.
func TestReloadKeysKeepsTheLastGood(t *testing.T) {
	fromVault := func(_ *testing.T, b *bubble) {
		b.vault.Set(clientSecret, b.porten.ClientID())
		b.vault.Set(keySecret, olderKey().EncodedJWK())
	}
	fromFile := func(t *testing.T, b *bubble) {
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "EncodedJwk": olderKey().EncodedJWK()})
	}
	for name, c := range map[string]struct {
		before, spoil func(t *testing.T, b *bubble)
		want          string
	}{
		"a version that is not a key": {fromVault, func(_ *testing.T, b *bubble) { b.vault.Set(keySecret, "CANARY of a wrong secret") }, "httpclient: EncodedJwk (secret " + keySecret},
		"another client in the vault": {fromVault, func(_ *testing.T, b *bubble) { b.vault.Set(clientSecret, "another-client") }, "restart to take over the new ClientId (secret " + clientSecret},
		"another client by reference": {func(t *testing.T, b *bubble) {
			b.vault.Set("the-client", b.porten.ClientID())
			b.vault.Set(keySecret, olderKey().EncodedJWK())
			b.section(t, map[string]any{"ClientId": "@Microsoft.KeyVault(SecretUri=" + b.vault.VaultURL() + "/secrets/the-client)"})
		}, func(_ *testing.T, b *bubble) { b.vault.Set("the-client", "another-client") }, "restart to take over the new ClientId (secret the-client"},
		"the vault refuses":  {fromVault, func(_ *testing.T, b *bubble) { b.vault.ExpireClientSecret() }, "kvSetting:ClientSecret (appsettings.json)"},
		"the secret is gone": {fromVault, func(_ *testing.T, b *bubble) { b.vault.Delete(keySecret) }, "create the secret in the vault"},
		"a file that is cut": {fromFile, func(t *testing.T, b *bubble) { b.write(t, `{"MaskinportenSettings": {"EncodedJwk": "CANARY`) }, "provider: appsettings.json: line 1"},
		"another client in the file": {fromFile, func(t *testing.T, b *bubble) {
			b.section(t, map[string]any{"ClientId": "another-client", "EncodedJwk": olderKey().EncodedJWK()})
		}, "restart to take over the new ClientId (appsettings.json)"},
		"the key is elsewhere now": {fromFile, func(t *testing.T, b *bubble) {
			b.section(t, map[string]any{"ClientId": b.porten.ClientID()})
			b.file(t, "appsettings.Production.json", map[string]any{"MaskinportenSettings": map[string]any{"EncodedJwk": newerKey().EncodedJWK()}})
		}, "put the key back into appsettings.json"},
		"the section is gone": {fromFile, func(t *testing.T, b *bubble) { b.file(t, "appsettings.json", map[string]any{}) }, "add it to the settings"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				c.before(t, b)
				source := b.start(t, fxmodule.ReloadKeys())
				order := b.run(t, source, 16*time.Minute, map[time.Duration]func(){time.Minute: func() { c.spoil(t, b) }})
				log := b.told()
				const kept = "WARN msg=\"httpclient: the keys could not be read again; those in use are kept"
				if !slices.Equal(order, []string{"older"}) || strings.Count(log, kept) != 1 || !strings.Contains(log, c.want) || strings.Contains(log, "CANARY") {
					t.Errorf("got signatures by %v and the log\n%s\nwant those of the older key, and one warning with %s", order, log, c.want)
				}
			})
		})
	}
}

func (b *bubble) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "appsettings.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The key of the settings is checked at the start, as without ReloadKeys.
func TestReloadKeysChecksTheFirstKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.Set(keySecret, "CANARY of a wrong secret")
	err := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.ReloadKeys()), fx.Invoke(func(altinn) {}))...).Err()
	if err == nil || !strings.Contains(err.Error(), "httpclient: EncodedJwk (secret "+keySecret) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("got %v, want the error about the key", err)
	}
	none := newWorld(t)
	none.vault.Delete(keySecret)
	err = fx.New(none.app(none.config(), fxmodule.Module("altinn", none.servers(), fxmodule.ReloadKeys()), fx.Invoke(func(altinn) {}))...).Err()
	if !errors.Is(err, httpclient.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
}

// Only Config knows where the settings came from.
func TestReloadKeysNeedsConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := koanf.New(":")
	err := fx.New(w.app(fx.Supply(k), fxmodule.Module("altinn", fxmodule.ReloadKeys(), fxmodule.EditSettings(complete)), fx.Invoke(func(altinn) {}))...).Err()
	if err == nil || !strings.Contains(err.Error(), "fxmodule: add fxmodule.Config to the application, or remove ReloadKeys") {
		t.Errorf("got %v, want what to do", err)
	}
}

// What only the vault has belongs to a file's key when that is read again, too.
func TestReloadKeysKeepsTheVaultsKid(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		nameless := jwkOf(t, olderKey())
		delete(nameless, "kid")
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "Jwk": nameless})
		b.vault.Set("MaskinportenSettings--Kid", "older")
		source := b.start(t, fxmodule.ReloadKeys())
		if order := b.run(t, source, 3*time.Minute, nil); !slices.Equal(order, []string{"older"}) || strings.Contains(b.told(), "level=WARN") {
			t.Errorf("got signatures by %v and the log\n%s\nwant the older key's and no warning", order, b.told())
		}
	})
}

// The program's own changes are made with each reading of files.
func TestReloadKeysEditsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.section(t, map[string]any{"EncodedJwk": olderKey().EncodedJWK(), "Kid": "wrong"})
		edits := 0
		source := b.start(t, fxmodule.ReloadKeys(), fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
			edits++
			s.ClientID, s.KeyID = b.porten.ClientID(), ""
		}))
		b.run(t, source, 150*time.Second, nil)
		if edits != 3 || strings.Contains(b.told(), "level=WARN") {
			t.Errorf("got %d calls and the log\n%s\nwant one at the start and two by readings, and no warning", edits, b.told())
		}
	})
}
