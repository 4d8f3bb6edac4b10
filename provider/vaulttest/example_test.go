package vaulttest_test

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Azure's own client, with Azure's own credential, reads a secret.
func Example() {
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.Set("MaskinportenSettings--ClientId", "client-for-tests")

	cred, err := srv.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}
	options := srv.ClientOptions()
	client, err := azsecrets.NewClient(srv.VaultURL(), cred, &options)
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := client.GetSecret(context.Background(), "MaskinportenSettings--ClientId", "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	stats := srv.Stats()
	fmt.Println(*secret.Value)
	fmt.Println(stats.Challenges, "challenge,", stats.Tokens, "token,", stats.Gets, "get")
	// Output:
	// client-for-tests
	// 1 challenge, 1 token, 1 get
}
