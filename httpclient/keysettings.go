package httpclient

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// keySettings are the canonical names of the settings that hold a key, in the order in
// which errors name them.
var keySettings = []string{"EncodedJwk", "Jwks", "Jwk", "EncodedX509", "CertificatePkcs12Path", vaultKeySetting}

// vaultKeySetting names a key, and does not hold it.
const vaultKeySetting = "KeyVaultKey"

func isCertificate(setting string) bool {
	return setting == "EncodedX509" || setting == "CertificatePkcs12Path"
}

// keyValue is what one of the keySettings holds.
func (s *MaskinportenSettings) keyValue(setting string) string {
	switch setting {
	case "EncodedJwk":
		return s.EncodedJWK.Reveal()
	case "Jwks":
		return s.JWKS.Reveal()
	case "Jwk":
		return s.JWK.Reveal()
	case "EncodedX509":
		return s.EncodedX509.Reveal()
	case vaultKeySetting:
		return s.KeyVaultKey
	}
	return s.CertificatePKCS12Path
}

// keysGiven is which of the keySettings are set.
func (s *MaskinportenSettings) keysGiven() (given []string) {
	for _, setting := range keySettings {
		if s.keyValue(setting) != "" {
			given = append(given, setting)
		}
	}
	return given
}

// latestKeys divides settings that hold a key. Those of the latest source count, and those
// of earlier sources are passed over. A setting of an unknown source counts.
func (s *MaskinportenSettings) latestKeys(given []string) (latest, passed []string) {
	order := 0
	for _, setting := range given {
		order = max(order, s.origin(setting).Order)
	}
	for _, setting := range given {
		if at := s.origin(setting).Order; at != 0 && at < order {
			passed = append(passed, setting)
		} else {
			latest = append(latest, setting)
		}
	}
	return latest, passed
}

// olderKey is which of two spellings of a setting is of an earlier source. It is empty if
// that is not known, and if the setting holds no key.
func (s *MaskinportenSettings) olderKey(canonical, a, b string) string {
	if s.Origin == nil || a == "" || !slices.Contains(keySettings, canonical) {
		return ""
	}
	first, second := s.Origin(a).Order, s.Origin(b).Order
	switch {
	case first == 0 || second == 0 || first == second:
		return ""
	case first < second:
		return a
	}
	return b
}

// setAside notes a spelling of a setting that gives way to another.
func (s *MaskinportenSettings) setAside(canonical, key string) {
	if s.aside == nil {
		s.aside = map[string][]string{}
	}
	s.aside[canonical] = append(s.aside[canonical], key)
}

// KeySetting is the setting whose key counts, by its usual name such as "EncodedJwk", and
// where it came from. The name is empty if no setting has a key. It does not check the
// key.
func (s *MaskinportenSettings) KeySetting() (name string, from Origin) {
	if s == nil {
		return "", Origin{}
	}
	latest, _ := s.latestKeys(s.keysGiven())
	if latest = byForm(latest); len(latest) == 0 {
		return "", Origin{}
	}
	return latest[0], s.origin(latest[0])
}

// heldKeys are the settings that count and hold a key. One that names a key in a vault
// holds none.
func (s *MaskinportenSettings) heldKeys() []string {
	latest, _ := s.latestKeys(s.keysGiven())
	return slices.DeleteFunc(latest, func(setting string) bool { return setting == vaultKeySetting })
}

// keyChoice is the keys that the settings hold.
type keyChoice struct {
	setting  string   // its canonical name
	keys     []*Key   // newest first
	passed   []string // other settings, whose keys are not used
	warnings []string
}

// chooseKeys makes the keys of the settings that count, of one form. It refuses several
// forms, unless one is known to hold the same as the other, or to win over it.
func (s *MaskinportenSettings) chooseKeys(now time.Time) (c keyChoice, wrong []error) {
	given := s.keysGiven()
	if err := s.checkThumbprint(); err != nil {
		wrong = append(wrong, err)
	} else if len(given) == 0 {
		wrong = append(wrong, s.missing(keySettings, "set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)"))
	}
	latest, passed := s.latestKeys(given)
	c.passed = passed
	var used []string
	var broken []error
	for _, setting := range byForm(latest) {
		if len(used) > 0 && s.givesWay(setting, used[0], c.keys) {
			c.passed = append(c.passed, setting)
			continue
		}
		used = append(used, setting)
		keys, err := s.keysIn(setting, &c, now)
		if err != nil {
			broken = append(broken, err)
		}
		if len(used) == 1 {
			c.setting, c.keys = setting, keys
		}
	}
	if len(used) > 1 {
		wrong = append(wrong, fmt.Errorf("%s each hold a key: keep one of them", s.all(used)))
	}
	return c, append(wrong, broken...)
}

// byForm puts those first that win over others.
func byForm(given []string) []string {
	order := []string{"Jwks", "EncodedJwk", "Jwk", "EncodedX509", "CertificatePkcs12Path", vaultKeySetting}
	return slices.DeleteFunc(order, func(setting string) bool { return !slices.Contains(given, setting) })
}

// givesWay reports whether a setting is not used beside another of the same source. A Jwk
// gives way to EncodedJwk. Both give way to Jwks if it has the same key. keys are those of
// the other setting, and there are none if it is wrong: then that is the error.
func (s *MaskinportenSettings) givesWay(setting, to string, keys []*Key) bool {
	switch {
	case setting == "Jwk" && to == "EncodedJwk":
		return true
	case to == "Jwks" && !isCertificate(setting):
		return len(keys) == 0 || !s.holdsAnother(setting, keys)
	}
	return false
}

// holdsAnother reports whether a setting, which is not used, holds another key than keys.
// What is no key at all is not another one.
func (s *MaskinportenSettings) holdsAnother(setting string, keys []*Key) bool {
	if isCertificate(setting) {
		return true
	}
	data, err := decodeJWK(s.keyValue(setting))
	if err != nil {
		return false
	}
	members, err := jose.PrivateMembers(data)
	return err == nil && slices.ContainsFunc(members, func(jwk json.RawMessage) bool { return !isAmong(jwk, keys) })
}

// keysIn makes the keys that one setting holds.
func (s *MaskinportenSettings) keysIn(setting string, c *keyChoice, now time.Time) (keys []*Key, err error) {
	if setting == vaultKeySetting {
		return nil, fmt.Errorf("%s names a key that stays in its vault: give fxmodule.Module the option KeyVaultKey, or NewTokenSource the option WithKeySource with keys of package vaultkey",
			s.name(setting))
	}
	if isCertificate(setting) {
		key, err := s.certificateKey(setting, now)
		if err != nil {
			return nil, err
		}
		if s.KeyID != "" {
			c.warnings = append(c.warnings, s.name("Kid")+" has no effect beside a certificate")
		}
		return []*Key{key}, nil
	}
	parsed, err := parseJWKs(s.keyValue(setting))
	if err != nil {
		return nil, fmt.Errorf("%s %w", s.name(setting), err)
	}
	if err := s.checkParts(setting, c, len(parsed)); err != nil {
		return nil, err
	}
	keyID := s.keyIDFor(setting, parsed, c)
	if keyID != "" && len(parsed) > 1 {
		return nil, fmt.Errorf(`%s names one key, but %s holds %d: remove %s, and give each key its id (member "kid")`,
			s.name("Kid"), s.name(setting), len(parsed), s.spelling("Kid"))
	}
	keys, err = keysOf(parsed, keyID, nil)
	if err != nil {
		return nil, fmt.Errorf("%s %w", s.name(setting), err)
	}
	origin := s.origin(setting)
	for _, key := range keys {
		key.setting = s.name(setting)
		if keyID != "" {
			key.kidSetting = s.name("Kid")
		}
		key.lives(origin.Created, origin.Expires, saysSecret)
	}
	return keys, nil
}

// checkParts refuses a set whose keys are of several sources, and warns of a key whose
// members are.
func (s *MaskinportenSettings) checkParts(setting string, c *keyChoice, keys int) error {
	switch {
	case !s.origin(setting).Mixed:
	case keys > 1:
		return fmt.Errorf("%s holds parts of several sources: keep the keys whole in one of them", s.name(setting))
	default:
		c.warnings = append(c.warnings, s.name(setting)+" is made of parts of several sources: keep the key whole in one of them")
	}
	return nil
}

// keyIDFor is the id that Kid gives the key of a setting. It is empty without Kid, and if
// Kid belongs to a key that gave way: the source of Kid has a key that is not used, and
// the keys that are used have ids of their own.
func (s *MaskinportenSettings) keyIDFor(setting string, parsed []jose.PrivateKey, c *keyChoice) string {
	kid, key := s.origin("Kid"), s.origin(setting)
	former := slices.Clone(key.Overrode)
	for _, other := range c.passed {
		former = slices.Concat(former, layersOf(s.origin(other)), s.origin(other).Overrode)
	}
	switch {
	case s.KeyID == "", kid.Order == 0, kid.Order >= key.Order, common(layersOf(kid), former) == "":
	case slices.ContainsFunc(parsed, func(p jose.PrivateKey) bool { return p.KeyID == "" }):
	default:
		c.warnings = append(c.warnings, fmt.Sprintf("%s is not used: it belongs to the key of its own source, and %s is of a later one", s.name("Kid"), s.name(setting)))
		return ""
	}
	return s.KeyID
}

// all are the names of settings, joined for a sentence.
func (s *MaskinportenSettings) all(canonical []string) string {
	var names []string
	for _, c := range canonical {
		names = append(names, s.name(c))
	}
	return strings.Join(names, " and ")
}

func (s *MaskinportenSettings) checkThumbprint() error {
	if s.CertificateStoreThumbprint == "" {
		return nil
	}
	return fmt.Errorf("%s works on Windows with .NET only: export the certificate with its key and set CertificatePkcs12Path or EncodedX509",
		s.name("CertificateStoreThumbprint"))
}
