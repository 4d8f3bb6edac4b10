package provider

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// TestLoadedSecrets holds what the origins of keys are made from.
func TestLoadedSecrets(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for _, name := range []string{"B--L--0", "b--L--1", "A", "C", "Gone"} {
		srv.Set(name, name)
	}
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	vault, err := KeyVault(Config{
		VaultURL: srv.VaultURL(), Credential: cred.GetToken, ClientOptions: srv.ClientOptions(),
		Map: func(name, value string) (string, any) {
			switch name {
			case "C":
				return "c--d", map[string]any{"y": value, "x": []any{1, 2}}
			case "Gone":
				return "", nil
			}
			return name, value
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := vault.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	got.Walk(func(path []string, n *tree.Node) {
		if want := "secret " + n.Origin.Secret + " of " + srv.VaultURL(); n.Origin.Source != want {
			t.Errorf("%q: got source %q, want %q", path, n.Origin.Source, want)
		}
		sources[strings.Join(path, ":")] = n.Origin.Secret
	})
	want := map[string]string{"A": "A", "B:L:0": "B--L--0", "B:L:1": "b--L--1", "c:d:x:0": "C", "c:d:x:1": "C", "c:d:y": "C"}
	if diff := cmp.Diff(want, sources); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}
