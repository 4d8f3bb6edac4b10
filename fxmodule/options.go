package fxmodule

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// DefaultSection is the section that [Module] reads unless [Section] names another.
const DefaultSection = "MaskinportenSettings"

// The most characters that names have. A longer text is not a name.
const (
	maxName    = 64
	maxSection = 128
)

// Option changes the client that [Module] provides. A nil Option changes nothing.
type Option func(*module)

// module is what [Module] was asked for.
type module struct {
	name    string
	section string
	client  []httpclient.Option
	edits   []func(*httpclient.MaskinportenSettings)
	warmUp  bool
	reload  bool
	// vaultKey makes a source of the key in a vault that the settings name, or nil if they
	// name none. Only [KeyVaultKey] sets it, so that what it calls is linked only then.
	vaultKey func(moduleParams, httpclient.MaskinportenSettings) (*keySource, error)
	timeout  *time.Duration // nil: no limit
}

// Section names the section of the configuration to read, in any case. A path in
// the koanf's own delimiter reaches further down. It must not be empty.
func Section(name string) Option { return func(m *module) { m.section = name } }

// ClientOptions are passed on to [httpclient.NewTokenSource], such as
// [httpclient.WithBaseTransport] or [httpclient.WithAllowedHosts]. Given more
// than once, they add up. They win over those that the graph has (see [Module]).
func ClientOptions(opts ...httpclient.Option) Option {
	return func(m *module) { m.client = append(m.client, opts...) }
}

// EditSettings lets the program change the settings after they are read and
// before they are checked. With it, the section may be missing altogether. Given
// more than once, all are applied, in their order. Nil changes nothing.
func EditSettings(edit func(*httpclient.MaskinportenSettings)) Option {
	return func(m *module) {
		if edit != nil {
			m.edits = append(m.edits, edit)
		}
	}
}

// Timeout sets the Timeout of the [*http.Client]. It bounds each request with its
// redirects and the reading of its answer, and the wait for a token. It must be over
// zero. Without it there is no limit but a request's own context.
func Timeout(d time.Duration) Option { return func(m *module) { m.timeout = &d } }

// WarmUp fetches the first token when the application starts, so that a refusal
// stops the start instead of the first request. It does so for a client that
// something in the graph asks for: another one is not made.
//
// The context given to the start bounds it (for fx.App's Run that is fx's start
// timeout), and so do the source's own 20 seconds. By default Maskinporten is first
// asked when a request needs a token.
func WarmUp() Option { return func(m *module) { m.warmUp = true } }

// check returns everything that is wrong with what [Module] was given. A text that may
// be a secret is not quoted.
func (m module) check() error {
	return problems.Join(m.checkName(), m.checkSection(), m.checkTimeout())
}

func (m module) checkName() error {
	switch what := cmp.Or(paste.Problem(m.name, maxName), paste.Random(m.name)); {
	case strings.TrimSpace(m.name) == "":
		return errors.New(`fxmodule: Module needs a name, such as "altinn", under which it provides its client`)
	case what != "":
		return fmt.Errorf(`fxmodule: give Module a name, such as "altinn" - what it was given %s`, what)
	case strings.Contains(m.name, "`"):
		return errors.New("fxmodule: remove the backquote from the name that Module is given - a field tag cannot hold one")
	}
	return nil
}

func (m module) checkSection() error {
	switch what := cmp.Or(paste.Problem(m.section, maxSection), paste.Random(m.section)); {
	case strings.TrimSpace(m.section) == "":
		return fmt.Errorf("fxmodule: Section needs a name, such as %q%s", DefaultSection, m.about())
	case what != "":
		return fmt.Errorf("fxmodule: give Section a name, such as %q - what it was given %s%s", DefaultSection, what, m.about())
	}
	return nil
}

func (m module) checkTimeout() error {
	if m.timeout == nil || *m.timeout > 0 {
		return nil
	}
	return fmt.Errorf("fxmodule: give Timeout a duration over zero, or leave it out for no limit - it is %v%s", *m.timeout, m.about())
}

// about names the client, if its name may be shown.
func (m module) about() string {
	if m.checkName() != nil {
		return ""
	}
	return fmt.Sprintf(" (client %q)", m.name)
}
