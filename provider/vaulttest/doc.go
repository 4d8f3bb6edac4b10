// Package vaulttest is an Azure Key Vault and its Microsoft Entra ID in one HTTPS
// server inside your test or program. It is strict: what the real services refuse,
// it refuses, with their status, code and words.
//
//	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
//		"MaskinportenSettings--ClientId": "my-client",
//	}))
//	defer srv.Close()
//	cred, err := srv.Credential()
//	options := srv.ClientOptions()
//	client, err := azsecrets.NewClient(srv.VaultURL(), cred, &options)
//
// The vault answers the documented calls that read secrets and keys, and that sign:
//
//	GET  /secrets                  the secrets, in pages of 25
//	GET  /secrets/NAME             the latest version
//	GET  /secrets/NAME/VERSION     one version
//	GET  /secrets/NAME/versions    all versions, in pages of 25
//	GET  /keys...                  the same of keys, without private members
//	POST /keys/NAME/VERSION/sign   a signature by RS256, RS384, RS512, PS256, PS384, PS512
//
// [Server.SetSecret] and [Server.CreateKey] store them.
//
// A request without a token gets the 401 challenge that Microsoft's clients wait
// for. The vault accepts a token only if this server issued it, for the vault's
// audience, and it has not expired.
//
// Entra answers instance discovery, OpenID metadata and the client credentials
// grant. It knows one tenant, one client and one secret, all made up
// ([Server.TenantID], [Server.ClientID], [Server.ClientSecret]).
//
// What goes wrong in production can be played:
//
//   - [WithoutList], [WithoutGet], [WithoutKeys], [WithoutSign], [WithRoleDelay]: a
//     role is missing, or is new.
//   - [WithFirewall]: the client is outside the vault's network.
//   - [WithAPIVersions]: the vault is older than the client.
//   - [WithPaging]: pages are linked in the less usual ways.
//   - [Server.RequireClaims]: continuous access evaluation ends a token early.
//   - [Server.DisableKey], [Server.DeleteKey]: a key cannot be used any more.
//   - [Server.ExpireClientSecret]: the client's secret has expired.
//   - [Server.Faults]: chosen requests are slow, fail or get no answer.
//
// [Server.Stats] counts what arrived, and [Server.Refusals] says what was refused
// and why. [NewServer] listens on a loopback port. [NewPipe] serves in memory, for
// use inside a testing/synctest bubble. Nothing here imports package testing.
//
// Programs in other languages can use the server, too. They trust
// [Server.CertificatePEM], take [Server.AuthorityURL] as their authority, turn
// instance discovery off, and turn off the check that the vault belongs to Azure.
//
// A [Server] is safe for concurrent use.
package vaulttest
