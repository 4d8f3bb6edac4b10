package httpclient

import (
	"crypto"
	"fmt"
	"log/slog"
	"time"
)

// keyLife is when a key begins and ends, as far as is known.
type keyLife struct {
	created, end time.Time // zero if unknown
	says         string    // what tells the end
}

// Expires is when the key ends: the earliest of the times that are known. It is zero if
// no end is known. Maskinporten ends a registered key after a year at the latest.
//
//   - A JWK's member "exp", in seconds since 1970. Digdir's answer to a registration
//     has it.
//   - A certificate's end.
//   - The expiry date of the Key Vault secret that a setting came from, if
//     [MaskinportenSettings] has an Origin that tells it.
//   - The method Expires of the signer of [NewKey] or [NewCertificateKey], if it has one.
//   - What the program says by [Key.WithLife].
//
// The log warns of the end once a day: from 30 days before it, or from a fifth of the
// key's life if that is less. In the last day and afterwards the level is Error.
func (k *Key) Expires() time.Time {
	if k == nil {
		return time.Time{}
	}
	return k.life.end
}

// WithLife is the key with a life that the program knows, such as from the answer of
// Digdir's administration. An earlier end that is known already still counts. A time that
// is zero says nothing.
func (k *Key) WithLife(created, expires time.Time) *Key {
	if k == nil {
		return nil
	}
	copied := *k
	if !created.IsZero() {
		copied.life.created = created
	}
	copied.lives(time.Time{}, expires, saysProgram)
	return &copied
}

// lives takes in what one source tells of the key's life. The earliest end counts. Of the
// beginning the first source counts.
func (k *Key) lives(created, end time.Time, says string) {
	if k.life.created.IsZero() {
		k.life.created = created
	}
	if !end.IsZero() && (k.life.end.IsZero() || end.Before(k.life.end)) {
		k.life.end, k.life.says = end, says
	}
}

// livesAs takes in what a signer tells of its key's life. It may panic: one that embeds
// nil does.
func (k *Key) livesAs(signer crypto.Signer) {
	defer func() { _ = recover() }()
	var created, end time.Time
	if s, ok := signer.(interface{ Created() time.Time }); ok {
		created = s.Created()
	}
	if s, ok := signer.(interface{ Expires() time.Time }); ok {
		end = s.Expires()
	}
	k.lives(created, end, saysSigner)
}

// expired reports whether the key has come to an end that is known.
func (k *Key) expired(now time.Time) bool {
	return k != nil && !k.life.end.IsZero() && !now.Before(k.life.end)
}

const day = "2006-01-02"

// What tells the end of a key.
const (
	saysJWK         = "its JWK"
	saysCertificate = "its certificate"
	saysSecret      = "its secret in Key Vault"
	saysSigner      = "its signer"
	saysProgram     = "the program"
)

// ended tells when the key came to its end, if that is known and not still to come.
func (k *Key) ended(now time.Time) string {
	if !k.expired(now) {
		return ""
	}
	return " on " + k.life.end.UTC().Format(day)
}

// keyStage is how far a key is in its life. A later stage is more urgent.
type keyStage int

const (
	stageGood    keyStage = iota
	stageUnknown          // no end is known
	stageNear             // its end is near
	stageLastDay
	stageEnded
)

// stage is how far the key is. Its end is near in the last 30 days, or in the last fifth
// of its life if that is less. Of a key whose beginning is not known 30 days are less.
func (k *Key) stage(now time.Time) keyStage {
	near := keyWarning
	if whole := k.life.end.Sub(k.life.created); !k.life.created.IsZero() && whole > 0 {
		near = min(near, whole/keyWarningPart)
	}
	switch left := k.life.end.Sub(now); {
	case k.life.end.IsZero():
		return stageUnknown
	case left <= 0:
		return stageEnded
	case left > near:
		return stageGood
	case left > lastDay:
		return stageNear
	}
	return stageLastDay
}

// level is that of a record about a key at this stage.
func (s keyStage) level() slog.Level {
	switch s {
	case stageUnknown:
		return slog.LevelInfo
	case stageNear:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// notice tells what to do about a key at a stage, and why.
func (k *Key) notice(stage keyStage, now time.Time) string {
	if stage == stageUnknown {
		means := `the member "exp" of its JWK or by an expiry date of its secret in Key Vault`
		switch {
		case k.verify != nil:
			means = "an expiry date of the key, if a vault signs, or by Key.WithLife"
		case k.setting == keySourceName:
			means = `the member "exp" of its JWK or by Key.WithLife`
		}
		return fmt.Sprintf(`tell when the key in %s ends, by %s - the end of %s is not known; Maskinporten ends a key after a year at most`,
			k.setting, means, k.named(false))
	}
	cure, what, says := "make a new key for "+k.setting+" and register it", k.named(false), ", as "+k.life.says+" says"
	if len(k.chain) > 0 {
		cure, what = "order a new certificate for "+k.setting, "the certificate"
	}
	if k.life.says == saysCertificate {
		says = ""
	}
	when := "expires on " + k.life.end.UTC().Format(day) + ", in " + remaining(k.life.end.Sub(now))
	if stage == stageEnded {
		when = "expired on " + k.life.end.UTC().Format(day)
	}
	return cure + " - " + what + " " + when + says
}

// remaining is a time in the largest whole unit.
func remaining(left time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		switch n := int(left / unit.size); {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "less than a minute"
}
