package httpclient

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// Key is a private key, with its id or certificate and its algorithm. It does not
// change and may be shared. Nothing prints the private key.
//
// Settings hold a key. A program that has a [KeySource] makes one with [NewKey],
// [NewCertificateKey], [ParseJWK], [ParseJWKS] or [ParsePKCS12]. The zero Key signs
// nothing.
type Key struct {
	// signer is a function, because reflection reads fields and calls nothing.
	signer func() crypto.Signer
	// verify checks the signatures of a signer that is not this program's. It is nil
	// for a *rsa.PrivateKey: package rsa checks its own signatures.
	verify              *rsa.PublicKey
	alg                 string
	kid                 string
	chain               []string  // x5c, leaf first; empty if kid identifies the key
	setting             string    // the source of the key, for hints
	kidSetting          string    // the source of its id, if that is another one
	bits                int       // of the RSA modulus
	notBefore, notAfter time.Time // of the leaf certificate, which is not sent outside of them
	life                keyLife
}

// KeyID is the id that the key is registered under. It is empty if a certificate
// identifies the key.
func (k *Key) KeyID() string {
	if k == nil {
		return ""
	}
	return k.kid
}

// String tells the key's id and algorithm, as in "key my-key (RS256)". For a
// certificate's key it is "certificate key (RS256)".
func (k *Key) String() string {
	if k == nil || k.signer == nil {
		return "no key"
	}
	if len(k.chain) > 0 {
		return "certificate key (" + k.alg + ")"
	}
	return "key " + k.kid + " (" + k.alg + ")"
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

// LogValue implements [slog.LogValuer]: it returns what String returns.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// namedBy is the setting that says what the key is registered under.
func (k *Key) namedBy() string {
	if k.kidSetting != "" {
		return k.kidSetting
	}
	return k.setting
}

// leaf is the certificate that identifies the key, empty without one.
func (k *Key) leaf() string {
	if len(k.chain) == 0 {
		return ""
	}
	return k.chain[0]
}

// named tells a key from others within a sentence, if asked with its algorithm.
func (k *Key) named(algorithm bool) string {
	what := fmt.Sprintf("RSA %d", k.bits)
	if algorithm {
		what += ", " + k.alg
	}
	if len(k.chain) > 0 {
		return "the certificate's key (" + what + ")"
	}
	return "key " + k.kid + " (" + what + ")"
}

func (k *Key) isZero() bool { return k == nil || k.signer == nil }

// is reports whether two keys are the same one. Each reading of a key makes a new Key.
func (k *Key) is(other *Key) bool {
	if k == other {
		return true
	}
	if k == nil || other == nil || k.kid != other.kid || k.alg != other.alg || !slices.Equal(k.chain, other.chain) {
		return false
	}
	a, b := k.public(), other.public()
	return a != nil && b != nil && a.Equal(b)
}

// public is the public key; nil of the zero Key.
func (k *Key) public() *rsa.PublicKey {
	if k.verify != nil || k.signer == nil {
		return k.verify
	}
	public, _ := k.signer().Public().(*rsa.PublicKey) // of a *rsa.PrivateKey
	return public
}

// check refuses a certificate outside of its time. The cure follows the setting.
func (k *Key) check(now time.Time) (cure string, err error) {
	switch {
	case k.notAfter.IsZero():
	case now.Before(k.notBefore):
		return "wait, or use another certificate", fmt.Errorf("the certificate is not valid before %s", k.notBefore.Format(day))
	case now.After(k.notAfter):
		return "order a new certificate", fmt.Errorf("the certificate expired on %s%w", k.notAfter.Format(day), quietly{ErrExpiredKey})
	}
	return "", nil
}

// quietly is an error that adds nothing to a text.
type quietly struct{ error }

func (quietly) Error() string   { return "" }
func (q quietly) Unwrap() error { return q.error }

// misplacedKeyID says why a text cannot be a key's id. It is empty if the text may be
// one.
func misplacedKeyID(id string) string {
	if what := paste.Problem(id, maxName); what != "" {
		return what
	}
	if printable(id) != id {
		return "has a character that is not printed"
	}
	return ""
}
