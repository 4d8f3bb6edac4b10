package vaulttest

import "time"

// DefaultTokenLifetime is how long a token lives unless [WithTokenLifetime] says
// otherwise: about what Entra gives.
const DefaultTokenLifetime = time.Hour

// Option changes a server that is being made.
type Option func(*Server)

// WithSecrets stores secrets, name to value, as [Server.Set] does.
func WithSecrets(secrets map[string]string) Option {
	return func(s *Server) {
		for name, value := range secrets {
			s.Set(name, value)
		}
	}
}

// WithLatency makes each answer of the vault and of Entra take at least d.
func WithLatency(d time.Duration) Option { return func(s *Server) { s.latency = d } }

// WithClock replaces [time.Now] as the clock by which tokens expire.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithTokenLifetime sets how long tokens live; see [DefaultTokenLifetime].
func WithTokenLifetime(d time.Duration) Option { return func(s *Server) { s.lifetime = d } }

// WithVaultHost gives the vault a host name of its own, such as
// "my-vault.vault.azure.net". The name is reachable through [Server.Transport]
// alone; requests for secrets under another name are then not found.
func WithVaultHost(host string) Option { return func(s *Server) { s.vaultHost = host } }

// WithAuthorityHost gives Entra a host name of its own, such as
// "login.microsoftonline.com", as [WithVaultHost] does for the vault.
func WithAuthorityHost(host string) Option { return func(s *Server) { s.authorityHost = host } }

// WithoutList takes the permission to list secrets from the client: listing is
// answered 403 ForbiddenByRbac.
func WithoutList() Option { return func(s *Server) { s.noList = true } }

// WithoutGet takes the permission to read secrets from the client: getting one is
// answered 403 ForbiddenByRbac.
func WithoutGet() Option { return func(s *Server) { s.noGet = true } }
