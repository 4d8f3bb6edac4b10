package fxmodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

// DefaultSection is the section that [Module] reads unless [Section] names another.
const DefaultSection = "MaskinportenSettings"

// Option changes the client that [Module] provides.
type Option func(*module)

type module struct {
	name    string
	section string
	client  []httpclient.Option
	edits   []func(*httpclient.MaskinportenSettings)
	warmUp  bool
}

// Section names the section of the configuration to read, in any case. A path in
// the koanf's own delimiter reaches further down. It must not be empty.
func Section(name string) Option { return func(m *module) { m.section = name } }

// ClientOptions are passed on to [httpclient.NewTokenSource], such as
// [httpclient.WithBaseTransport] or [httpclient.WithAllowedHosts]. Given more
// than once, they add up.
func ClientOptions(opts ...httpclient.Option) Option {
	return func(m *module) { m.client = append(m.client, opts...) }
}

// EditSettings lets the program change the settings after they are read and
// before they are checked. With it, the section may be missing altogether. Given
// more than once, all are applied, in their order.
func EditSettings(edit func(*httpclient.MaskinportenSettings)) Option {
	return func(m *module) { m.edits = append(m.edits, edit) }
}

// WarmUp fetches the first token when the application starts, so that a refusal
// stops the start instead of the first request. It does so for a client that
// something in the graph asks for: another one is not made.
//
// The context given to the start bounds it (for fx.App's Run that is fx's start
// timeout), and so do the source's own 20 seconds. By default Maskinporten is first
// asked when a request needs a token.
func WarmUp() Option { return func(m *module) { m.warmUp = true } }

// Module provides an [*http.Client] and a [*httpclient.TokenSource], both under
// the given name, made from a section of the graph's [*koanf.Koanf]. A parameter
// struct asks for one by a field tag:
//
//	Altinn *http.Client `name:"altinn"`
//
// The application does not start if the name is empty, because that would provide
// every *http.Client that the graph asks for without a name. It does not start if two
// modules have the same name either.
//
// A [*provider.Origins] in the graph, such as [Config] provides, makes errors
// about missing settings tell where they were looked for.
//
// [fx.Replace] and [fx.Decorate] of the named client change what the graph gets for
// it. Those of the named token source do not reach the client.
func Module(name string, opts ...Option) fx.Option {
	switch {
	case strings.TrimSpace(name) == "":
		return fx.Error(errors.New(`fxmodule: Module needs a name, such as "altinn", under which it provides its client`))
	case strings.Contains(name, "`"):
		return fx.Error(fmt.Errorf("fxmodule: the name %q holds a backquote, which a field tag cannot", name))
	}
	m := module{name: name, section: DefaultSection}
	for _, opt := range opts {
		if opt != nil {
			opt(&m)
		}
	}
	if strings.TrimSpace(m.section) == "" {
		return fx.Error(fmt.Errorf("fxmodule: client %q: Section needs a name, such as %q", name, DefaultSection))
	}
	return fx.Module(fmt.Sprintf("portnokkel.client(%q)", name),
		fx.Supply(m, fx.Private),
		fx.Provide(newInstance, fx.Private),
		fx.Provide(
			fx.Annotated{Name: name, Target: newClient},
			fx.Annotated{Name: name, Target: newTokenSource},
		),
	)
}

type moduleParams struct {
	fx.In

	Module    module
	Lifecycle fx.Lifecycle
	Koanf     *koanf.Koanf
	Origins   *provider.Origins `optional:"true"`
	Logger    *slog.Logger      `optional:"true"`
}

// instance is what a module's named values share. It has a type of its own so
// that it meets nothing in the graph.
type instance struct{ source *httpclient.TokenSource }

// newInstance appends the hooks itself, so that a client that is not asked for has
// no hooks.
func newInstance(p moduleParams) (instance, error) {
	m := p.Module
	settings, err := m.settings(p)
	if err != nil {
		return instance{}, m.failed(p, err)
	}
	opts := append([]httpclient.Option{httpclient.WithLogger(p.Logger)}, m.client...) // nil is the default
	source, err := httpclient.NewTokenSource(settings, opts...)
	if err != nil {
		return instance{}, m.failed(p, err)
	}
	hook := fx.StopHook(source.Close)
	if m.warmUp {
		hook.OnStart = func(ctx context.Context) error {
			if _, err := source.Token(ctx); err != nil {
				return fmt.Errorf("fxmodule: client %q: first token: %w", m.name, err)
			}
			return nil
		}
	}
	p.Lifecycle.Append(hook)
	return instance{source}, nil
}

func newClient(i instance) *http.Client { return i.source.Client() }

func newTokenSource(i instance) *httpclient.TokenSource { return i.source }

func (m module) settings(p moduleParams) (httpclient.MaskinportenSettings, error) {
	section, err := provider.Section(p.Koanf, m.section)
	switch {
	case errors.Is(err, provider.ErrNoSection) && len(m.edits) == 0:
		return httpclient.MaskinportenSettings{}, fmt.Errorf("%w: add it to the settings, or name another with fxmodule.Section", err)
	case err != nil && !errors.Is(err, provider.ErrNoSection):
		return httpclient.MaskinportenSettings{}, err
	}
	path := m.section
	if delim := p.Koanf.Delim(); delim != "" {
		path = strings.ReplaceAll(path, delim, ":") // as Origins writes paths
	}
	settings := httpclient.MaskinportenSettings{
		BaseDir: p.Origins.Directory(path + ":CertificatePkcs12Path"),
		Origin:  func(key string) httpclient.Origin { return httpclient.Origin(p.Origins.Of(path + ":" + key)) },
	}
	if err := settings.Parse(section); err != nil {
		return httpclient.MaskinportenSettings{}, err
	}
	for _, edit := range m.edits {
		edit(&settings)
	}
	return settings, nil
}

// failed says which client and section an error is about and, if settings are
// missing, where they were looked for.
func (m module) failed(p moduleParams, err error) error {
	isMissing := errors.Is(err, httpclient.ErrMissing) || errors.Is(err, provider.ErrNoSection)
	err = fmt.Errorf("fxmodule: client %q from section %s: %w", m.name, m.section, err)
	if where := p.Origins.Summary(); isMissing && where != "" {
		err = fmt.Errorf("%w\n%s", err, where)
	}
	return err
}
