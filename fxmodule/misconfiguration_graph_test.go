package fxmodule_test

import (
	"net/http"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
)

// graphs are mistakes in the application's wiring.
var graphs = []misconfiguration{
	{
		name: "a client of another name", tells: atStart,
		plant: func(s *site) {
			s.ask = fx.Invoke(func(struct {
				fx.In

				Client *http.Client `name:"altin"`
			}) {
			})
		},
		names: []string{`"altin"`, `"altinn"`},
	},
	{
		name: "a client without a name", tells: atStart,
		plant: func(s *site) { s.ask = fx.Invoke(func(*http.Client) {}) },
		names: []string{"*http.Client", `"altinn"`}, cures: []string{`name:"altinn"`},
	},
	{
		name: "no Config", tells: atStart,
		plant: func(s *site) { s.graph = func(_, module fx.Option) []fx.Option { return []fx.Option{module} } },
		names: []string{"fxmodule.Config"},
	},
	{
		name: "no Module", tells: atStart,
		plant: func(s *site) { s.graph = func(config, _ fx.Option) []fx.Option { return []fx.Option{config} } },
		names: []string{`"altinn"`, "fxmodule.Module"},
	},
	{
		name: "the module twice", tells: atStart,
		plant: func(s *site) {
			s.graph = func(config, module fx.Option) []fx.Option {
				return []fx.Option{config, module, fxmodule.Module("altinn", fxmodule.Section("Other"))}
			}
		},
		names: []string{`"altinn"`, "twice"},
	},
	{
		name: "Config twice", tells: atStart,
		plant: func(s *site) {
			s.graph = func(config, module fx.Option) []fx.Option {
				return []fx.Option{config, fxmodule.Config(), module}
			}
		},
		names: []string{"fxmodule.Config", "twice"},
	},
	{
		name: "a module without a name", tells: atStart,
		plant: func(s *site) {
			s.graph = func(config, module fx.Option) []fx.Option {
				return []fx.Option{config, module, fxmodule.Module(" ")}
			}
		},
		names: []string{"Module", "name"},
	},
	{
		name: "another section in code", tells: atStart,
		plant: func(s *site) { s.options = []fxmodule.Option{fxmodule.Section("Maskinporten")} },
		names: []string{`"Maskinporten"`, "MaskinportenSettings"}, cures: []string{"fxmodule.Section"},
	},
}
