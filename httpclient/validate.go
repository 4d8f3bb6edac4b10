package httpclient

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/internal/problems"
)

// Validate checks everything that can be checked without the network, and reports
// all problems at once. Each one names the setting as the configuration spells it,
// and says what to do. It reads the file that CertificatePkcs12Path names.
//
// [NewTokenSource] does the same. Settings for a [WithKeySource] hold no key, so
// Validate calls the key missing. Scope is not required, because requests may name it.
func (s *MaskinportenSettings) Validate() error {
	if s == nil {
		return errNilSettings
	}
	_, err := s.plan(time.Now(), nil)
	return err
}

// plan is the checked form of the settings: everything that a token source needs.
type plan struct {
	environment environment
	clientID    string // empty if only Texas knows it
	texas       string // the address of Texas's endpoint; empty without it
	keys        KeySource
	held        fixedKeys     // the settings' own; a source that reads keys again begins with them
	mixed       string        // why client and key may not belong together; empty if they seem to
	request     tokenRequest  // its scope may be empty
	noScope     error         // of a request without any scope
	exchange    *exchangePlan // nil: Maskinporten's own tokens are used
	warnings    []string
}

// exchangePlan is how to exchange a token at an Altinn platform.
type exchangePlan struct {
	platform       string
	testOrg        bool
	enterpriseUser string // base64 of user:password; secret
	// secrets are what no error may show, in each form that an answer may echo.
	secrets []string
}

// Format implements [fmt.Formatter]: every verb prints the platform only.
func (p *exchangePlan) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, p.platform) }

// plan checks the settings. keys takes the place of a key in them, unless nil.
func (s *MaskinportenSettings) plan(now time.Time, keys KeySource) (plan, error) {
	rest, misplaced := s.misplaced()
	p, wrong := rest.check(now, keys)
	if len(misplaced) > 0 {
		// What is missing now is not missing, and was reported.
		others := slices.DeleteFunc(wrong, func(err error) bool { return errors.Is(err, ErrMissing) })
		wrong = slices.Concat(misplaced, others)
	}
	if len(wrong) > 0 {
		return plan{}, prefixed(wrong)
	}
	return p, nil
}

// prefixed is one error of what is wrong, each with the package's name.
func prefixed(wrong []error) error {
	named := make([]error, len(wrong))
	for i, err := range wrong {
		named[i] = fmt.Errorf("httpclient: %w", err)
	}
	return problems.Join(named...)
}

// check makes the plan, and gives everything that is wrong.
func (s *MaskinportenSettings) check(now time.Time, keys KeySource) (p plan, wrong []error) {
	add := func(errs ...error) {
		wrong = append(wrong, slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
	}
	p.warnings = s.unknownWarnings()
	var err error
	p.environment, err = s.environment()
	add(err)
	envKnown := err == nil
	add(s.useTokenEndpoint(&p.environment))
	if p.environment.retired {
		p.warnings = append(p.warnings, fmt.Sprintf(`%s is %q, which was shut down on 2024-06-10: use "test" instead`,
			s.issuerSetting(), p.environment.name))
	}
	switch p.clientID = strings.TrimSpace(s.ClientID); {
	case p.clientID == "" && s.texas != "":
	case p.clientID == "":
		add(s.missing([]string{"ClientId"}, "set it to the client's id in Maskinporten"))
	case !isID(p.clientID):
		add(fmt.Errorf("%s has a character that no client id has: letters, digits and . _ : @ ~ = + / # - are possible", s.name("ClientId")))
	}
	switch p.keys, p.texas = keys, s.texas; {
	case s.texas != "":
		add(s.checkTexas(keys)...)
		if s.KeyID != "" {
			p.warnings = append(p.warnings, fmt.Sprintf("%s has no effect beside Texas", s.name("Kid")))
		}
	case keys != nil && !s.areFirstOf(keys):
		add(s.besideKeySource(), s.checkThumbprint())
		if s.KeyID != "" && s.KeyVaultKey == "" { // which may be registered as Kid
			p.warnings = append(p.warnings, fmt.Sprintf("%s has no effect beside a key source", s.name("Kid")))
		}
	default:
		choice, errs := s.chooseKeys(now)
		add(errs...)
		if len(errs) == 0 {
			p.held = choice.keys
			p.keys = p.held
			if reloading, ok := keys.(*reloadingKeys); ok {
				reloading.begin(choice.keys)
				p.keys = reloading
			}
			p.warnings = append(p.warnings, choice.warnings...)
			if p.mixed = s.mixedIdentity(choice); p.mixed != "" {
				p.warnings = append(p.warnings, "check "+p.mixed)
			}
		}
	}
	if s.KeyID != "" && !isID(s.KeyID) {
		add(fmt.Errorf("%s has a character that no key id has: letters, digits and . _ : @ ~ = + / # - are possible", s.name("Kid")))
	}
	var errs []error
	p.request, errs = s.request()
	add(errs...)
	if p.texas != "" {
		add(texasCannot(p.request, s.name("ConsumerOrgNo")))
	}
	p.noScope = fmt.Errorf("httpclient: %w", s.missing([]string{"Scope"}, "list the scopes that the API asks for, or name them for each request with ContextWithScope"))
	if s.ExchangeToAltinnToken {
		p.exchange, errs = s.exchange(p.environment, envKnown)
		add(errs...)
	} else {
		p.warnings = append(p.warnings, s.idle()...)
	}
	if p.exchange != nil && s.crossed(p.environment, p.exchange.platform) {
		p.warnings = append(p.warnings, fmt.Sprintf("%s and %s do not belong together: Altinn's production takes tokens of \"prod\" only, and its test environments take tokens of \"test\"",
			s.issuerSetting(), s.name("TokenExchangeEnvironment")))
	}
	if !s.CertificatePKCS12Password.IsZero() && s.CertificatePKCS12Path == "" {
		p.warnings = append(p.warnings, fmt.Sprintf("%s has no effect without CertificatePkcs12Path", s.name("CertificatePkcs12Password")))
	}
	return p, wrong
}

// areFirstOf reports whether the settings hold the first keys of a source that reads keys
// again.
func (s *MaskinportenSettings) areFirstOf(keys KeySource) bool {
	_, reloading := keys.(*reloadingKeys)
	return reloading && len(s.heldKeys()) > 0
}

// besideKeySource refuses a key in the settings beside a key source.
func (s *MaskinportenSettings) besideKeySource() error {
	if given := s.heldKeys(); len(given) > 0 {
		return fmt.Errorf("%s: a key source is given beside this key: keep one of them", s.all(given))
	}
	return nil
}

// idle warns about settings of the exchange if there is no exchange.
func (s *MaskinportenSettings) idle() []string {
	var warnings []string
	for _, setting := range []struct {
		name string
		set  bool
	}{
		{"UseAltinnTestOrg", s.UseAltinnTestOrg},
		{"EnterpriseUserName", !s.EnterpriseUserName.IsZero()},
		{"EnterpriseUserPassword", !s.EnterpriseUserPassword.IsZero()},
	} {
		if setting.set {
			warnings = append(warnings, fmt.Sprintf("%s has no effect without %s", s.name(setting.name), s.name("ExhangeToAltinnToken")))
		}
	}
	return warnings
}

// request is the token request that the settings make. Its scope may be empty.
func (s *MaskinportenSettings) request() (r tokenRequest, wrong []error) {
	r = tokenRequest{scope: normalizeScope(s.Scope), resource: s.Resource, consumerOrg: strings.TrimPrefix(s.ConsumerOrgNo, iso6523)}
	if !isScope(r.scope) {
		wrong = append(wrong, fmt.Errorf("%s has a character that no scope can have", s.name("Scope")))
	}
	if !isResource(s.Resource) {
		wrong = append(wrong, fmt.Errorf("%s is not a text of at most 2,000 printable characters", s.name("Resource")))
	}
	if s.ConsumerOrgNo != "" && !isOrgNo(r.consumerOrg) {
		wrong = append(wrong, fmt.Errorf("%s is not an organisation number: nine digits", s.name("ConsumerOrgNo")))
	}
	return r, wrong
}

// exchange checks the settings of the exchange. If the environment is not known, its
// platform is not known either, and the error is about the environment only. There is
// no plan beside an error.
func (s *MaskinportenSettings) exchange(env environment, known bool) (_ *exchangePlan, wrong []error) {
	p := &exchangePlan{testOrg: s.UseAltinnTestOrg}
	if known || s.TokenExchangeEnvironment != "" {
		platform, err := s.platform(env)
		if err != nil {
			wrong = append(wrong, err)
		}
		p.platform = platform
	}
	const half = "set it as well, or remove "
	switch user, password := s.EnterpriseUserName.Reveal(), s.EnterpriseUserPassword.Reveal(); {
	case user == "" && password == "":
	case user == "":
		wrong = append(wrong, s.missing([]string{"EnterpriseUserName"}, half+s.name("EnterpriseUserPassword")))
	case password == "":
		wrong = append(wrong, s.missing([]string{"EnterpriseUserPassword"}, half+s.name("EnterpriseUserName")))
	default:
		p.enterpriseUser = base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		p.secrets = []string{p.enterpriseUser, user + ":" + password, password}
		if len(user) >= minUserName {
			p.secrets = append(p.secrets, user)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return p, nil
}
