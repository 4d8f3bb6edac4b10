package httpclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ParseSettings makes settings from a configuration section, such as koanf,
// encoding/json or a map of your own gives.
//
//   - Keys are found in any case and in every spelling of Altinn's guides, such as
//     ExhangeToAltinnToken and ExchangeToAltinnToken.
//   - Booleans may be texts, as they are in Key Vault: "true", "false", "1" or "0".
//   - Scope may be a list. Jwk may be an object or its JSON, and Jwks an object, a list or
//     its JSON.
//   - Blank texts and nulls count as not set.
//
// A key that is not a setting is ignored. [NewTokenSource] logs a warning about it
// that names the nearest setting. The error joins every value of a wrong type and
// every pair of keys that contradict one another. The other settings are returned
// beside it. [MaskinportenSettings.Validate] checks the rest, so that a program may
// complete the settings first. No value of a secret setting is ever quoted.
//
// It is [MaskinportenSettings.Parse] on empty settings. Use that if you know which
// file a setting came from.
func ParseSettings(section map[string]any) (MaskinportenSettings, error) {
	var settings MaskinportenSettings
	err := settings.Parse(section)
	return settings, err
}

// errNilSettings is the answer of every method of nil settings.
var errNilSettings = errors.New("httpclient: the pointer to the settings is nil")

// Parse sets what the section names, as [ParseSettings] describes it, and keeps the
// rest. If Origin is set before, errors and warnings tell where a key is from.
func (s *MaskinportenSettings) Parse(section map[string]any) error {
	if s == nil {
		return errNilSettings
	}
	earlier := s.spelt
	s.spelt = map[string]string{}
	var wrong []error
	for _, key := range slices.Sorted(maps.Keys(section)) {
		field, known := fieldNamed(key)
		if !known {
			s.unknown = append(s.unknown, key)
			continue
		}
		if err := field.set(s, key, section[key]); err != nil {
			wrong = append(wrong, err)
		}
	}
	for name, key := range earlier {
		if s.spelt[name] == "" {
			s.spelt[name] = key
		}
	}
	return prefixed(wrong)
}

func fieldNamed(key string) (settingField, bool) {
	for _, f := range settingFields {
		for _, name := range f.names {
			if strings.EqualFold(name, key) {
				return f, true
			}
		}
	}
	return settingField{}, false
}

// set stores a value. It refuses one that contradicts another spelling's.
func (f settingField) set(s *MaskinportenSettings, key string, value any) error {
	canonical := f.names[0]
	if value == nil || isEmptyKey(canonical, value) {
		return nil
	}
	var isSet, changed bool
	var err error
	switch p := f.target(s).(type) {
	case *string:
		var v string
		if v, err = f.text(value); err == nil && v != "" {
			isSet, changed, *p = true, *p != v, v
		}
	case *Secret:
		var v string
		if _, inexact := value.(float64); inexact {
			err = errors.New("is a number: write it as a text")
		} else if v, err = f.text(value); err == nil && v != "" {
			secret := NewSecret(v)
			isSet, changed, *p = true, !p.Equal(secret), secret
		}
	case *bool:
		var v bool
		if v, isSet, err = boolValue(value); isSet {
			changed, *p = *p != v, v
		}
	}
	if err != nil {
		return fmt.Errorf("%s %w", s.from(key), err)
	}
	if !isSet {
		return nil
	}
	if before, seen := s.spelt[canonical]; seen && changed {
		return fmt.Errorf("%s and %s contradict one another: keep one of them", s.from(before), s.from(key))
	}
	s.spelt[canonical] = key
	return nil
}

// text is the text of a value, and "" if the value is blank. A value that cannot be
// the setting's, such as a key in the place of a name, is an error.
func (f settingField) text(value any) (string, error) {
	v, err := textValue(f.names[0], value)
	if trimmed := strings.TrimSpace(v); trimmed == "" || !f.verbatim {
		v = trimmed
	}
	if what := f.misplaced(v); err == nil && what != "" {
		return "", errors.New(what)
	}
	return v, err
}

// textValue accepts what a configuration file may hold for a text.
func textValue(canonical string, value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case map[string]any:
		if canonical == "Jwk" || canonical == "Jwks" {
			return jsonText(v)
		}
	case []any:
		switch canonical {
		case "Scope":
			return scopeList(v)
		case "Jwks":
			return jsonText(v)
		}
	case []map[string]any:
		if canonical == "Jwks" {
			return jsonText(v)
		}
	case []string:
		if canonical == "Scope" {
			return strings.Join(v, " "), nil
		}
	}
	return "", fmt.Errorf("is %s, not a text", kindOf(value))
}

// isEmptyKey reports whether a key or set is written as an object or a list with nothing
// in it, which means that it is not set.
func isEmptyKey(canonical string, value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0 && (canonical == "Jwk" || canonical == "Jwks")
	case []any:
		return len(v) == 0 && canonical == "Jwks"
	}
	return false
}

func jsonText(value any) (string, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", errors.New("cannot be written as JSON")
	}
	return string(encoded), nil
}

func scopeList(list []any) (string, error) {
	scopes := make([]string, 0, len(list))
	for i, v := range list {
		scope, ok := v.(string)
		if !ok {
			return "", fmt.Errorf("has %s as element %d, not a text", kindOf(v), i)
		}
		scopes = append(scopes, scope)
	}
	return strings.Join(scopes, " "), nil
}

// boolValue reports whether value says anything, and what.
func boolValue(value any) (v, set bool, err error) {
	switch b := value.(type) {
	case bool:
		return b, true, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(b)) {
		case "":
			return false, false, nil
		case "true", "1":
			return true, true, nil
		case "false", "0":
			return false, true, nil
		}
		return false, false, errors.New(`is neither "true" nor "false"`)
	}
	return false, false, fmt.Errorf("is %s: write true or false", kindOf(value))
}

func kindOf(value any) string {
	switch value.(type) {
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case map[string]any:
		return "a section"
	case []any, []string, []map[string]any:
		return "a list"
	}
	if isNumber(value) {
		return "a number"
	}
	return fmt.Sprintf("a %T", value)
}

func isNumber(value any) bool {
	switch value.(type) {
	case json.Number, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return true
	}
	return false
}
