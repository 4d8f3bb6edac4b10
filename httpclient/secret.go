package httpclient

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// redacted is written in place of a secret.
const redacted = "[redacted]"

// Secret is a text that is never printed: a key, a password, an identity number.
// Make one with [NewSecret], and read it with [Secret.Reveal]. Everything else
// shows "[redacted]": package fmt, log/slog, encoders and printers that use
// reflection, in an unexported field of another type too. The zero value is the
// empty secret, and shows as an empty text.
//
// Two secrets are compared with [Secret.Equal]. A Secret does not change.
type Secret struct {
	// value is a function, because reflection reads fields and calls nothing.
	// Package fmt, for one, prints an unexported field without its Format method.
	value func() string
	// isSet reports whether there is a text. The type must not have one field only:
	// go-spew 1.1.1 crashes on a struct of one pointer that has a String method.
	isSet bool
}

// NewSecret makes a secret of a text. The empty text makes the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{value: func() string { return text }, isSet: true}
}

// Reveal returns the text itself. Pass it on only to what needs it.
func (s Secret) Reveal() string {
	if !s.isSet {
		return ""
	}
	return s.value()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return !s.isSet }

// Equal reports whether two secrets are the same text. For texts of one length it
// takes the same time, whatever they are.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns "[redacted]", or an empty text for the empty secret.
func (s Secret) String() string {
	if !s.isSet {
		return ""
	}
	return redacted
}

// GoString implements [fmt.GoStringer]: it returns what String returns.
func (s Secret) GoString() string { return s.String() }

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// LogValue implements [slog.LogValuer]: it returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler]: it returns what String returns.
// What an encoder writes is for reading and cannot be decoded into the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: it stores the text.
func (s *Secret) UnmarshalText(text []byte) error {
	if s == nil {
		return errors.New("httpclient: UnmarshalText was called on a nil *Secret")
	}
	*s = NewSecret(string(text))
	return nil
}
