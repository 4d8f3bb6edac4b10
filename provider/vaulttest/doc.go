// Package vaulttest is an Azure Key Vault and its Microsoft Entra ID, played by
// one HTTPS server inside your test or program. It is strict: what the real
// services refuse, it refuses, with their status, code and body shape.
//
//	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
//		"MaskinportenSettings--ClientId": "my-client",
//	}))
//	defer srv.Close()
//	cred, err := srv.Credential()
//	options := srv.ClientOptions()
//	client, err := azsecrets.NewClient(srv.VaultURL(), cred, &options)
//
// The vault answers the documented calls that read secrets: listing, in pages of
// 25, and getting one. A request without a token gets the 401 challenge that the
// Azure SDK waits for. A token counts only when this server issued it, for the
// vault's audience, and it has not expired. Entra answers its OpenID metadata and
// the client credentials grant for one tenant, one client and one secret, all of
// which are made up here ([Server.TenantID], [Server.ClientID],
// [Server.ClientSecret]).
//
// [Server.Faults] breaks chosen requests, and [Server.Stats] counts what arrived.
// [NewServer] listens on a loopback port; [NewPipe] serves in memory, for use
// inside a testing/synctest bubble. Nothing here imports package testing.
//
// A [Server] is safe for concurrent use.
package vaulttest
