package httpclient

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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
	notAfter    time.Time     // of the settings' certificate; zero without one
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
	p := plan{warnings: slices.Clone(s.warnings)}
	if rest, err := s.misplaced(); err != nil {
		// What is missing now is not missing, and was reported.
		_, others := rest.plan(now, keys)
		return plan{}, errors.Join(fmt.Errorf("httpclient: settings: %w", err), withoutMissing(others))
	}
	var problems []error
	check := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	var err error
	p.environment, err = s.environment()
	check(err)
	envKnown := err == nil
	if s.tokenEndpoint != "" && s.Authority != "" && issuerOf(s.Authority) == s.tokenIssuer {
		p.environment.tokenEndpoint = s.tokenEndpoint
		if err := checkURL(s.tokenEndpoint); err != nil {
			check(fmt.Errorf("%s %w", s.name(tokenEndpointSetting), err))
		}
	}
	if p.environment.retired {
		p.warnings = append(p.warnings, fmt.Sprintf(`%s is %q, which was shut down on 2024-06-10: use "test" instead`,
			s.issuerSetting(), p.environment.name))
	}
	switch p.clientID = strings.TrimSpace(s.ClientID); {
	case p.clientID == "" && s.texas != "":
	case p.clientID == "":
		check(missing("%s is missing: set it to the client's id in Maskinporten", s.name("ClientId")))
	case !isID(p.clientID):
		check(fmt.Errorf("%s has a character that no client id has: letters, digits and . _ : @ ~ = + / # - are possible", s.name("ClientId")))
	}
	switch p.keys, p.texas = keys, s.texas; {
	case s.texas != "":
		check(s.checkTexas(keys))
		if s.KeyID != "" {
			p.warnings = append(p.warnings, fmt.Sprintf("%s has no effect beside Texas", s.name("Kid")))
		}
	case keys == nil:
		key, err := s.key(now)
		check(err)
		if key != nil {
			p.keys, p.notAfter = fixedKey{key}, key.notAfter
			p.warnings = append(p.warnings, s.keyWarnings(key, now)...)
		}
	case s.hasKey():
		check(errors.New("a key source is given beside a key in the settings: keep one of them"))
	default:
		check(s.checkThumbprint())
		if s.KeyID != "" {
			p.warnings = append(p.warnings, fmt.Sprintf("%s has no effect beside a key source", s.name("Kid")))
		}
	}
	if s.KeyID != "" && !isID(s.KeyID) {
		check(fmt.Errorf("%s has a character that no key id has: letters, digits and . _ : @ ~ = + / # - are possible", s.name("Kid")))
	}
	p.request, err = s.request()
	check(err)
	if s.texas != "" {
		check(texasCannot(p.request, s.name("ConsumerOrgNo")))
	}
	p.noScope = fmt.Errorf("httpclient: %w", missing("%s is missing: list the scopes that the API asks for, separated by spaces, or name them for each request with ContextWithScope",
		s.name("Scope")))
	if s.ExchangeToAltinnToken {
		p.exchange, err = s.exchange(p.environment, envKnown)
		check(err)
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
	if err := errors.Join(problems...); err != nil {
		return plan{}, fmt.Errorf("httpclient: settings: %w", err)
	}
	return p, nil
}

// withoutMissing leaves out which settings are missing.
func withoutMissing(err error) error {
	var kept []error
	var keep func(error)
	keep = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				keep(one)
			}
		} else if err != nil && !errors.Is(err, ErrMissing) {
			kept = append(kept, err)
		}
	}
	keep(errors.Unwrap(err)) // below the prefix
	if len(kept) == 0 {
		return nil
	}
	return fmt.Errorf("httpclient: settings: %w", errors.Join(kept...))
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

func (s *MaskinportenSettings) keyWarnings(key *Key, now time.Time) []string {
	if key.notAfter.IsZero() {
		return nil
	}
	var warnings []string
	if warning := key.warning(now); warning != "" {
		warnings = append(warnings, warning)
	}
	if s.KeyID != "" {
		warnings = append(warnings, fmt.Sprintf("%s has no effect beside a certificate", s.name("Kid")))
	}
	return warnings
}

// request is the token request that the settings make. Its scope may be empty.
func (s *MaskinportenSettings) request() (tokenRequest, error) {
	scope := normalizeScope(s.Scope)
	var problems []error
	if !isScope(scope) {
		problems = append(problems, fmt.Errorf("%s has a character that no scope can have", s.name("Scope")))
	}
	if !isResource(s.Resource) {
		problems = append(problems, fmt.Errorf("%s is not a text of at most 2,000 printable characters", s.name("Resource")))
	}
	consumer := strings.TrimPrefix(s.ConsumerOrgNo, iso6523)
	if s.ConsumerOrgNo != "" && !isOrgNo(consumer) {
		problems = append(problems, fmt.Errorf("%s is not an organisation number: nine digits", s.name("ConsumerOrgNo")))
	}
	return tokenRequest{scope: scope, resource: s.Resource, consumerOrg: consumer}, errors.Join(problems...)
}

// exchange checks the settings of the exchange. If the environment is not known, its
// platform is not known either, and the error is about the environment only.
func (s *MaskinportenSettings) exchange(env environment, known bool) (*exchangePlan, error) {
	p := &exchangePlan{testOrg: s.UseAltinnTestOrg}
	var problems []error
	if known || s.TokenExchangeEnvironment != "" {
		platform, err := s.platform(env)
		if err != nil {
			problems = append(problems, err)
		}
		p.platform = platform
	}
	switch user, password := s.EnterpriseUserName.Reveal(), s.EnterpriseUserPassword.Reveal(); {
	case user == "" && password == "":
	case user == "":
		problems = append(problems, missing("%s is missing beside %s", s.name("EnterpriseUserName"), s.name("EnterpriseUserPassword")))
	case password == "":
		problems = append(problems, missing("%s is missing beside %s", s.name("EnterpriseUserPassword"), s.name("EnterpriseUserName")))
	default:
		p.enterpriseUser = base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		p.secrets = []string{p.enterpriseUser, user + ":" + password, password}
		if len(user) >= minUserName {
			p.secrets = append(p.secrets, user)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return p, nil
}

// normalizeScope lists each scope once, sorted, separated by single spaces: the
// order of scopes carries no meaning (RFC 6749 section 3.3).
func normalizeScope(scope string) string {
	scopes := strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	slices.Sort(scopes)
	return strings.Join(slices.Compact(scopes), " ")
}
