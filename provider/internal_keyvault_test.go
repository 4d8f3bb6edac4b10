package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
		VaultURL: srv.VaultURL(), Credential: cred, ClientOptions: srv.ClientOptions(),
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
	got, err := vault.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []loadedSecret{
		{"A", []string{"A"}},
		{"B--L--0", []string{"B", "L", "0"}},
		{"b--L--1", []string{"B", "L", "1"}},
		{"C", []string{"c", "d", "x", "0"}},
		{"C", []string{"c", "d", "x", "1"}},
		{"C", []string{"c", "d", "y"}},
	}
	if diff := cmp.Diff(want, got.secrets, cmp.AllowUnexported(loadedSecret{})); diff != "" {
		t.Error(diff)
	}
}
