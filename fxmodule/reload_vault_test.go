package fxmodule_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// A version that is not a key does not matter beside a newer one that is.
func TestReloadKeysPassesOverAnOldVersion(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.vault.Set(clientSecret, b.porten.ClientID())
		b.vault.Set(keySecret, "CANARY of a wrong secret")
		<-time.After(time.Second)
		b.vault.Set(keySecret, olderKey().EncodedJWK())
		source := b.start(t, fxmodule.ReloadKeys())
		if order := b.run(t, source, 11*time.Minute, nil); !slices.Equal(order, []string{"older"}) || strings.Contains(b.told(), "level=WARN") {
			t.Errorf("got signatures by %v and the log\n%s\nwant no warning", order, b.told())
		}
	})
}

// The end of a key is that of its own version.
func TestReloadKeysTellTheVersionsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.vault.Set(clientSecret, b.porten.ClientID())
		first, second := time.Now().Add(300*24*time.Hour), time.Now().Add(200*24*time.Hour)
		b.vault.SetSecret(vaulttest.Secret{Name: keySecret, Value: olderKey().EncodedJWK(), Expires: first})
		b.porten.AddKey(b.porten.ClientID(), newerKey())
		source := b.start(t, fxmodule.ReloadKeys())
		b.run(t, source, time.Minute, nil)
		if got := source.Status().Key.Expires; !got.Equal(first) {
			t.Errorf("got %v, want %v", got, first)
		}
		b.vault.SetSecret(vaulttest.Secret{Name: keySecret, Value: newerKey().EncodedJWK(), Expires: second})
		b.run(t, source, 6*time.Minute, nil)
		if got := source.Status().Key; got.ID != "newer" || !got.Expires.Equal(second) {
			t.Errorf("got %+v, want the newer key, which ends %v", got, second)
		}
	})
}

// byHost sends what is for other vaults to the double, and counts the readings of theirs.
type byHost struct {
	next   policy.Transporter
	double string
	other  atomic.Int64
}

func (h *byHost) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "other-vault.vault.azure.net" {
		return h.next.Do(r)
	}
	if strings.HasSuffix(r.URL.Path, "/versions") {
		h.other.Add(1)
	}
	sent := r.Clone(r.Context())
	sent.URL.Host, sent.Host = h.double, h.double
	return h.next.Do(sent)
}

// A reference may name another vault than kvSetting, which may be missing.
func TestReloadKeysOfAReferencesVault(t *testing.T) {
	const reference = "@Microsoft.KeyVault(VaultName=other-vault;SecretName=the-key)"
	for name, kvSetting := range map[string]func(b *bubble) map[string]any{
		"with kvSetting":    func(b *bubble) map[string]any { return b.vault.KVSetting() },
		"without kvSetting": func(*bubble) map[string]any { return map[string]any{} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.vault.Close()
				b.vault = vaulttest.NewPipe(vaulttest.WithVaultHost("my-vault.vault.azure.net"))
				defer b.vault.Close()
				options := b.vault.ClientOptions()
				routed := &byHost{next: options.Transport, double: "my-vault.vault.azure.net"}
				options.Transport = routed
				b.kv = provider.ConnectConfig{Config: provider.Config{ClientOptions: options, Credential: credentialOf(t, b.vault)}}
				b.vault.Set("the-key", olderKey().EncodedJWK())
				section := b.porten.Section()
				section["EncodedJwk"] = reference
				b.file(t, "appsettings.json", map[string]any{"kvSetting": kvSetting(b), "MaskinportenSettings": section})
				source := b.start(t, fxmodule.ReloadKeys())
				order := b.run(t, source, 18*time.Minute, b.rotates(func() { b.vault.Set("the-key", newerKey().EncodedJWK()) }))
				if want := []string{"older", "newer"}; !slices.Equal(order, want) || routed.other.Load() == 0 {
					t.Errorf("got signatures by %v after %d readings of the vault, want %v", order, routed.other.Load(), want)
				}
			})
		})
	}
}

// What was warned about at the start is not told again with each reading.
func TestReloadKeysWarnsOnce(t *testing.T) {
	for name, fromVault := range map[string]bool{"a file": false, "the vault": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.file(t, "appsettings.Local.json", map[string]any{})
				section := map[string]any{"ClientId": b.porten.ClientID()}
				if fromVault {
					b.vault.SetSecret(vaulttest.Secret{Name: keySecret, Value: olderKey().EncodedJWK(), NotBefore: time.Now().Add(time.Hour)})
				} else {
					section["EncodedJwk"] = olderKey().EncodedJWK()
				}
				b.section(t, section)
				source := b.start(t, fxmodule.ReloadKeys())
				before := strings.Count(b.told(), "level=WARN")
				b.run(t, source, 12*time.Minute, nil)
				if got := strings.Count(b.told(), "level=WARN"); got != before || before == 0 {
					t.Errorf("got %d warnings, %d of them at the start, want no more\n%s", got, before, b.told())
				}
			})
		})
	}
}
