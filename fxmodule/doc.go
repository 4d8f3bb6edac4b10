// Package fxmodule puts Maskinporten clients into an application of
// [go.uber.org/fx], by name.
//
//	fx.New(
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
// Stopping the application closes the token sources.
//
// A [*slog.Logger] in the graph is used if there is one, else [slog.Default].
package fxmodule
