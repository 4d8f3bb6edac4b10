package vaulttest

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// KVSetting is a complete kvSetting section that points to this server, under the
// keys of appsettings.json.
func (s *Server) KVSetting() map[string]any {
	return map[string]any{
		"ClientId":     s.ClientID(),
		"TenantId":     s.TenantID(),
		"ClientSecret": s.ClientSecret(),
		"SecretUri":    s.VaultURL(),
	}
}

// ClientOptions are the options with which an azsecrets client reaches the vault.
// The check that the vault's host belongs to Azure is off if it does not.
func (s *Server) ClientOptions() azsecrets.ClientOptions {
	return azsecrets.ClientOptions{
		ClientOptions:                        s.clientOptions(),
		DisableChallengeResourceVerification: s == nil || !strings.HasSuffix(s.cfg.vaultHost, ".vault.azure.net"),
	}
}

// CredentialOptions are the options with which a client secret credential reaches
// Entra here. Instance discovery is off unless [WithAuthorityHost] gave Entra a
// name that it has in Azure's public cloud: Entra calls other hosts invalid.
func (s *Server) CredentialOptions() azidentity.ClientSecretCredentialOptions {
	return azidentity.ClientSecretCredentialOptions{
		ClientOptions:            s.clientOptions(),
		DisableInstanceDiscovery: !s.isPublicCloud(),
	}
}

func (s *Server) clientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport: s.Client(),
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: s.AuthorityURL()},
	}
}

// Credential is Azure's own client secret credential for [Server.ClientID].
func (s *Server) Credential() (azcore.TokenCredential, error) {
	options := s.CredentialOptions()
	return azidentity.NewClientSecretCredential(s.TenantID(), s.ClientID(), s.ClientSecret(), &options)
}
