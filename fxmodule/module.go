package fxmodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/knadh/koanf/v2"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

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
// The graph may have more of what a client is made of. Options that Module is given
// win over it.
//
//   - A [*slog.Logger] gets the warnings, and why the application cannot start.
//
//   - A [trace.TracerProvider] and a [metric.MeterProvider] record what the client does.
//
//   - Each [httpclient.Option] in the value group "portnokkel" is for every module's
//     client. The graph does not keep their order. A test reaches its servers so:
//
//     fx.Supply(fx.Annotate(httpclient.WithTokenTransport(transport), fx.ResultTags(`group:"portnokkel"`)))
//
//   - A [*provider.Origins], such as [Config] provides, makes errors about settings tell
//     where each came from, and where a missing one was looked for.
//
// [fx.Replace] and [fx.Decorate] of the named client change what the graph gets for
// it. Those of the named token source do not reach the client.
//
// Stopping the application closes the token source. To start again, make the
// application anew: a second start of the same one is an error.
func Module(name string, opts ...Option) fx.Option {
	m := module{name: name, section: DefaultSection}
	for _, opt := range opts {
		if opt != nil {
			opt(&m)
		}
	}
	if err := m.check(); err != nil {
		return fx.Module("portnokkel.client", enrol(member{problem: err}))
	}
	return fx.Module(fmt.Sprintf("portnokkel.client(%q)", name),
		enrol(member{client: name}),
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
	Roster    roster
	Lifecycle fx.Lifecycle
	Koanf     *koanf.Koanf
	Origins   *provider.Origins    `optional:"true"`
	Sources   *sources             `optional:"true"`
	Tracers   trace.TracerProvider `optional:"true"`
	Meters    metric.MeterProvider `optional:"true"`
	Options   []httpclient.Option  `group:"portnokkel"`

	// How a vault is reached, if Sources does not say.
	Vault      provider.ConnectConfig `optional:"true"`
	Credential azcore.TokenCredential `optional:"true"`
}

// instance is what a module's named values share. It has a type of its own so
// that it meets nothing in the graph.
type instance struct {
	source  *httpclient.TokenSource
	timeout time.Duration // 0: none
}

// newInstance appends the hooks itself, so that a client that is not asked for has
// no hooks.
func newInstance(p moduleParams) (instance, error) {
	m := p.Module
	settings, err := m.settings(p.Koanf, p.Origins)
	if err != nil {
		return instance{}, p.Roster.failed(m.explain(p, err))
	}
	opts := []httpclient.Option{ // nil is the default
		httpclient.WithLogger(p.Roster.Logger), httpclient.WithTracerProvider(p.Tracers), httpclient.WithMeterProvider(p.Meters),
	}
	keys, closeKeys, err := m.keys(p, settings)
	if err != nil {
		return instance{}, p.Roster.failed(m.explain(p, err))
	}
	source, err := httpclient.NewTokenSource(settings, slices.Concat(opts, keys, p.Options, m.client)...)
	if err != nil {
		closeKeys()
		return instance{}, p.Roster.failed(m.explain(p, err))
	}
	p.Roster.serves(m.name, &served{source, settings.Scope == ""})
	p.Lifecycle.Append(m.hook(p.Roster, source, closeKeys))
	i := instance{source: source}
	if m.timeout != nil {
		i.timeout = *m.timeout
	}
	return i, nil
}

func newClient(i instance) *http.Client {
	client := i.source.Client()
	client.Timeout = i.timeout
	return client
}

func newTokenSource(i instance) *httpclient.TokenSource { return i.source }

// settings are those of the client's section.
func (m module) settings(k *koanf.Koanf, origins *provider.Origins) (httpclient.MaskinportenSettings, error) {
	if k == nil {
		return httpclient.MaskinportenSettings{}, errors.New("fxmodule: provide a *koanf.Koanf that is not nil, or add fxmodule.Config() - the graph's is nil")
	}
	path := m.section
	if delim := k.Delim(); delim != "" {
		path = strings.ReplaceAll(path, delim, ":") // as Origins writes paths
	}
	section, err := provider.Section(k, m.section)
	switch {
	case errors.Is(err, provider.ErrNoSection) && len(m.edits) == 0:
		return httpclient.MaskinportenSettings{}, noSection(err)
	case err != nil && !errors.Is(err, provider.ErrNoSection):
		if source := origins.Of(path).Source; source != "" {
			err = fmt.Errorf("%w (%s)", err, source)
		}
		return httpclient.MaskinportenSettings{}, err
	}
	settings := httpclient.MaskinportenSettings{
		BaseDir: origins.Directory(path + ":CertificatePkcs12Path"),
		Origin:  func(key string) httpclient.Origin { return httpclient.Origin(origins.Of(path + ":" + key)) },
	}
	if err := settings.Parse(section); err != nil {
		return httpclient.MaskinportenSettings{}, err
	}
	for _, edit := range m.edits {
		edit(&settings)
	}
	return settings, nil
}

// noSection says what to do about a section that is not there, before that it is not.
func noSection(err error) error {
	text := strings.TrimSuffix(err.Error(), provider.ErrNoSection.Error())
	if near, ok := strings.CutSuffix(text, " - "); ok {
		return fmt.Errorf("%s: rename it, or name it with fxmodule.Section - %w", near, provider.ErrNoSection)
	}
	return fmt.Errorf("%s: add it to the settings, or name another with fxmodule.Section - %w", strings.TrimSuffix(text, ": "), provider.ErrNoSection)
}

// explain adds which client and section an error is about and, if settings are
// missing, where they were looked for.
func (m module) explain(p moduleParams, err error) *startError {
	circumstances := fmt.Sprintf("fxmodule: client %q, section %s", m.name, m.section)
	if where := p.Origins.Summary(); where != "" && (errors.Is(err, httpclient.ErrMissing) || errors.Is(err, provider.ErrNoSection)) {
		circumstances += ": " + strings.ReplaceAll(where, "\n", "; ")
	}
	return &startError{cause: err, circumstances: circumstances}
}

// hook begins and ends a source's life with the application's.
func (m module) hook(r roster, source *httpclient.TokenSource, closeKeys func()) fx.Hook {
	var stopped atomic.Bool
	return fx.Hook{
		OnStart: func(ctx context.Context) error {
			if stopped.Load() {
				return r.failedAgain(&startError{cause: fmt.Errorf("fxmodule: make the application anew with fx.New - client %q was closed when the application stopped", m.name)})
			}
			if !m.warmUp {
				return nil
			}
			ctx, cancel := endEarlier(ctx)
			defer cancel()
			if _, err := source.Token(ctx); err != nil {
				return r.failedAgain(&startError{cause: err, circumstances: fmt.Sprintf("fxmodule: client %q: first token", m.name)})
			}
			return nil
		},
		OnStop: func(context.Context) error {
			stopped.Store(true)
			source.Close()
			closeKeys()
			return nil
		},
	}
}

// endEarlier is ctx with its deadline moved up a little. fx waits no longer than ctx
// for a hook: one that ends with it could not tell any more what it waited for.
func endEarlier(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	early := min(time.Until(deadline)/10, 500*time.Millisecond)
	return context.WithDeadline(ctx, deadline.Add(-early))
}
