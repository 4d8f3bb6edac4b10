package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://my-vault.vault.azure.net"
	cases := []struct {
		name string
		cfg  provider.Config
		want []string // the error's lines; none means that the config is good
	}{
		{"good", provider.Config{VaultURL: url, Credential: cred.GetToken}, nil},
		{"slash, case, port, blanks", provider.Config{VaultURL: " https://MY-vault.vault.azure.net:443/ ", Credential: cred.GetToken}, nil},
		{"nothing", provider.Config{}, []string{
			"provider: VaultURL is empty: set the vault's address, such as https://my-vault.vault.azure.net",
			"provider: Credential is nil: set the GetToken of one, such as azidentity.NewDefaultAzureCredential's",
		}},
		{"http", provider.Config{VaultURL: "http://my-vault.vault.azure.net", Credential: cred.GetToken}, []string{"provider: VaultURL does not begin with https://: set the vault's address, such as https://my-vault.vault.azure.net"}},
		{"only a name", provider.Config{VaultURL: "my-vault", Credential: cred.GetToken}, []string{"provider: VaultURL does not begin with https://: set the vault's address, such as https://my-vault.vault.azure.net"}},
		{"no host", provider.Config{VaultURL: "https:///", Credential: cred.GetToken}, []string{"provider: VaultURL has no host: set the vault's address, such as https://my-vault.vault.azure.net"}},
		{"not a URL", provider.Config{VaultURL: "https://a b:canary@", Credential: cred.GetToken}, []string{"provider: VaultURL is not a URL: set the vault's address, such as https://my-vault.vault.azure.net"}},
		{"user", provider.Config{VaultURL: "https://me:canary@my-vault.vault.azure.net", Credential: cred.GetToken}, []string{"provider: VaultURL holds a user name: set the vault's address only"}},
		{"path", provider.Config{VaultURL: url + "/secrets/a", Credential: cred.GetToken}, []string{"provider: VaultURL goes on after the host: set " + url}},
		{"query", provider.Config{VaultURL: url + "?a=canary", Credential: cred.GetToken}, []string{"provider: VaultURL goes on after the host: set " + url}},
		{"portal", provider.Config{VaultURL: "https://portal.azure.com/#@x/resource/y", Credential: cred.GetToken}, []string{`provider: VaultURL is a page of the Azure portal: set the "Vault URI" that the vault's overview page shows`}},
		{"all at once", provider.Config{
			VaultURL: url, Credential: cred.GetToken, Secrets: []string{"A:B", ""}, Sections: []string{"a_b", "A--"}, Concurrency: -1, Timeout: -1,
		}, []string{
			"provider: Secrets: give 1 to 127 letters, digits and dashes, with -- between the parts of a key - name 1 has other characters",
			"provider: Secrets: give 1 to 127 letters, digits and dashes, with -- between the parts of a key - name 2 is empty",
			"provider: Sections: give letters, digits and dashes, with -- between the parts of a key - name 1 has other characters",
			"provider: Sections: give letters, digits and dashes, with -- between the parts of a key - name 2 ends with --",
			"provider: Secrets: leave it empty, or Sections and Filter - those choose from a listing, and with Secrets nothing is listed",
			"provider: Concurrency: set 1 or more, or 0 for 32 - it is -1",
			"provider: Timeout: set a duration, or 0 for 30s - it is -1ns",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			vault, err := provider.KeyVault(c.cfg)
			if len(c.want) == 0 {
				if err != nil || fmt.Sprint(vault) != "provider.Vault("+url+")" {
					t.Errorf("got %v, %v, want a vault at %s", vault, err, url)
				}
				return
			}
			if err == nil || vault != nil {
				t.Fatalf("got %v, %v, want only an error", vault, err)
			}
			if diff := cmp.Diff(strings.Join(c.want, "\n"), err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if n := srv.Stats(); n.Metadata+n.Challenges != 0 {
		t.Errorf("got requests of a constructor, want nothing sent: %+v", n)
	}
}

// What a caller does with its Config later changes nothing.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	fake := &kvFake{secrets: []kvSecret{{name: "A", value: "1"}, {name: "B", value: "2"}}}
	sections, secrets := []string{"A"}, []string{"A"}
	listed, err := provider.KeyVaultWithClient(fake, provider.Config{Sections: sections})
	if err != nil {
		t.Fatal(err)
	}
	named, err := provider.KeyVaultWithClient(fake, provider.Config{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	sections[0], secrets[0] = "B", "B"
	for name, vault := range map[string]*provider.Vault{"Sections": listed, "Secrets": named} {
		got, err := vault.Read()
		if diff := cmp.Diff(tree{"A": "1"}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestClientMayNotBeNil(t *testing.T) {
	t.Parallel()
	var nilClient *azsecrets.Client
	for _, client := range []provider.Client{nil, nilClient} {
		if _, err := provider.KeyVaultWithClient(client, provider.Config{Timeout: -1}); err == nil ||
			err.Error() != "provider: Timeout: set a duration, or 0 for 30s - it is -1ns\nprovider: the client is nil: give an azsecrets.Client, or one of your own" {
			t.Errorf("got %v, want both faults", err)
		}
	}
}

func TestZeroVault(t *testing.T) {
	t.Parallel()
	var none *provider.Vault
	for _, vault := range []*provider.Vault{none, {}} {
		if _, err := vault.Read(); err == nil || err.Error() != "provider: make the Vault with KeyVault or KeyVaultWithClient - this one is empty" {
			t.Errorf("got %v, want an error that says how to make a Vault", err)
		}
		if _, err := vault.ReadBytes(); err == nil {
			t.Error("got no error from ReadBytes, want one")
		}
	}
}
