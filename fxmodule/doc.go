// Package fxmodule puts Maskinporten clients into an application of
// [go.uber.org/fx], by name.
//
//	fx.New(
//		fxmodule.Quiet(),          // fx says why a start failed, once, and no more
//		fxmodule.Config(),         // *koanf.Koanf: settings files, then Key Vault
//		fxmodule.Module("altinn"), // *http.Client name:"altinn"
//		fx.Invoke(func(p struct {
//			fx.In
//			Altinn *http.Client `name:"altinn"`
//		}) {
//			// p.Altinn's requests carry a token
//		}),
//	)
//
// [Config] provides the configuration, in two stages as [provider.Load] reads it.
// Leave it out if the graph has a [*koanf.Koanf] of its own. [Module] provides a
// client and the [*httpclient.TokenSource] behind it, made from one section of that
// configuration. An application may have several, each with a name and a section of
// its own.
//
// This package is wiring only. What it does is [provider] and [httpclient], and
// both work without fx.
//
// # Life
//
// Nothing runs until something in the graph asks for a client. One that is not asked
// for, or that a test replaces with [fx.Replace], reads no settings and costs
// nothing.
//
// Constructors make no call to Maskinporten. Config's does call the vault. fx bounds
// hooks and not constructors, so the Timeout of [provider.Config] bounds that call.
// Stopping the application closes the token sources. An application that was stopped
// does not start again: make it anew.
//
// # Keys
//
// The key of the settings is the one that the application starts with. [ReloadKeys] lets
// it take over a new one without a restart, from a mounted file or from Key Vault. With
// [KeyVaultKey], the private key never leaves the vault.
//
// # Readiness
//
// [ReadinessCheck] provides a [*Readiness], which tells Kubernetes whether each client has
// a token that can be used now.
//
// # When it does not start
//
// One record at level Error says why, in one line: the setting and what to do first,
// the circumstances after it. It is there with every logger of fx, and before fx's own
// lines. It goes to the graph's [*slog.Logger] if there is one, else to [slog.Default].
// The error that fx returns wraps the same one, with one problem a line.
//
// A client that no module provides, or that is asked for without a name, has such a
// record too. It lists the names there are. Failures that are not of this package are
// not logged, except by [Quiet].
//
// # In tests
//
// A test of one's own code replaces the client. A test of the whole application adds to
// the graph where the settings are and how the test servers are reached: see [Config],
// [Module] and the example.
package fxmodule
