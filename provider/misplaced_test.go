package provider_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Every kind of secret, pasted into a field of kvSetting that is not for one, is
// refused by the field's name and source. Nothing of it is printed or sent.
func TestPastedSecrets(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1"}))
	defer srv.Close()
	secrets := pastetest.Secrets(t, "../testdata/keys")
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		for _, field := range []string{"ClientId", "TenantId", "SecretUri"} {
			environ := []string{}
			for key, value := range with(srv, map[string]any{field: secrets[name]}) {
				environ = append(environ, fmt.Sprintf("kvSetting__%s=%v", key, value))
			}
			app, log := hermetic(t, files{})
			app.Environ = list(environ...)
			_, err := provider.Load(t.Context(), app, connectConfig(srv, log))
			want := fmt.Sprintf("provider: kvSetting:%s (environment variable kvSetting__%[1]s) looks like ", field)
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s in %s: got %v, want %s", name, field, err, want)
			}
			printed := fmt.Sprintf("%v %+v %#v", err, err, err) + logtest.Reachable(err) + log.String()
			for i := 0; i+16 <= len(secrets[name]); i += 8 {
				if strings.Contains(printed, secrets[name][i:i+16]) {
					t.Errorf("%s in %s is printed: %s", name, field, printed)
					break
				}
			}
		}
	}
	if stats := srv.Stats(); stats.Tokens+stats.Metadata+stats.Challenges > 0 {
		t.Errorf("got %+v, want nothing sent", stats)
	}
}

// A client secret in quotation marks is refused too: they are not a part of it.
func TestQuotedClientSecret(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	app, log := hermetic(t, files{})
	app.Environ = list(`kvSetting__ClientSecret="CANARY"`)
	_, err := provider.Load(t.Context(), app, connectConfig(srv, log))
	const want = "provider: kvSetting:ClientSecret (environment variable kvSetting__ClientSecret) is in quotation marks: remove them"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
