package vaultkey

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// Error is why a key could not be read, or did not sign. [errors.Is] finds a context's
// end in it. If the vault refused, [errors.As] finds an [azcore.ResponseError] with
// status and code. Neither its text nor what it unwraps to holds an answer's body.
type Error struct {
	// Key is the key's address, with the version if it was about one.
	Key string
	// Step is "authenticate", "list versions", "get key" or "sign".
	Step string
	// StatusCode is the HTTP status of the answer: the vault's, Entra's or a proxy's. It
	// is 0 without an answer.
	StatusCode int
	// Code is the innermost code of that answer, such as "ForbiddenByRbac",
	// "KeyDisabled" or "AADSTS7000215"; "" without one.
	Code string
	// Hint is what to do about it; "" if unknown.
	Hint string

	reason string
	cause  error
}

// Error says what to do, which step of which key, and what happened.
func (e *Error) Error() string {
	if e == nil {
		return "vaultkey: no error"
	}
	steps := map[string]string{
		azure.StepAuthenticate: "get a token for",
		azure.StepKeyVersions:  "list the versions of",
		azure.StepKey:          "read",
		azure.StepSign:         "sign with",
	}
	text := steps[e.Step] + " " + e.Key + ": " + e.reason
	if e.Hint != "" {
		text = e.Hint + " - " + text
	}
	return "vaultkey: " + text
}

// Unwrap is the cause, without anything that quotes an answer's body. It may be nil.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// explain makes an Error of what ended a call. ctx is the call's own.
func (v *vault) explain(ctx context.Context, session *azure.Session, step string, at target, err error) *Error {
	var panicked *azure.PanicError
	if errors.As(err, &panicked) {
		v.cfg.Logger.ErrorContext(ctx, "vaultkey: code that a call runs panicked",
			slog.String("key", at.String()), slog.String("stack", string(panicked.Stack)))
	}
	d := session.Diagnose(ctx, step, err)
	return &Error{
		Key: at.String(), Step: d.Step, StatusCode: d.StatusCode, Code: d.Code, Hint: d.Hint,
		reason: d.Reason, cause: d.Cause,
	}
}

// explainSign is explain for a signature. A vault does not sign with a version that has
// expired: whatever its code for that is, the version's end is known here.
func (v *vault) explainSign(ctx context.Context, session *azure.Session, k *Key, err error) *Error {
	e := v.explain(ctx, session, azure.StepSign, v.at.at(k.version), err)
	permission := strings.HasPrefix(e.Code, "ForbiddenBy") || e.Code == "AccessDenied"
	if e.StatusCode == http.StatusForbidden && !permission && !k.expires.IsZero() && !time.Now().Before(k.expires) {
		e.Hint = "make a new version of the key and register it, or set a later expiry date in the vault"
		e.reason += ", the version having expired on " + date(k.expires)
	}
	return e
}
