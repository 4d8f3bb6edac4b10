package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// stepMap is the step that no request belongs to.
const stepMap = "map"

// Error is why a load of a vault failed. [errors.Is] finds a context's end in it.
// If the vault refused, [errors.As] finds an [azcore.ResponseError] with status and
// code. Neither its text nor what it unwraps to holds an answer's body.
type Error struct {
	// Vault is the vault's address; "" if the Config did not give one.
	Vault string
	// Step is "authenticate", "list", "get" or "map" (names to keys), or it is "watch"
	// or "versions" for what [Vault.Watch] and [Vault.Versions] list.
	Step string
	// Secret is the name of the secret that Step was about, if it was about one.
	Secret string
	// Read is how many of the Total secrets that were found had been read.
	Read, Total int
	// StatusCode is the HTTP status of the answer that ended the load: the vault's,
	// Entra's or a proxy's. It is 0 without an answer.
	StatusCode int
	// Code is the innermost code of that answer, such as "ForbiddenByRbac",
	// "SecretNotFound" or "AADSTS7000215"; "" without one.
	Code string
	// Hint is what to do about it; "" if unknown.
	Hint string

	application string // that was refused; "" if unknown
	reason      string
	cause       error
}

// Error says what to do, and after a dash which step failed, at which vault, what
// happened, and how far the load came.
func (e *Error) Error() string {
	if e == nil {
		return "provider: no error"
	}
	parts := []string{e.Hint, strings.Join(e.circumstances(), ": ")}
	return "provider: " + strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " - ")
}

// circumstances are the step and what happened.
func (e *Error) circumstances() []string {
	vault := cmp.Or(e.Vault, "the key vault")
	step := e.Step + " " + vault
	switch {
	case e.Step == "":
		step = vault
	case e.Step == azure.StepAuthenticate:
		step = e.Step + " for " + vault
	case e.Step == azure.StepVersions:
		step = "list the versions of " + e.Secret + " from " + vault
	case e.Secret != "" && e.Step != stepMap:
		step = e.Step + " " + e.Secret + " from " + vault
	}
	if e.application != "" {
		step += " as application " + e.application
	}
	reason := e.reason
	if e.Total > 0 {
		reason += fmt.Sprintf(" (%d of %d secrets read)", e.Read, e.Total)
	}
	if reason == "" {
		return []string{step}
	}
	return []string{step, reason}
}

// Unwrap is the cause, without anything that quotes an answer's body. It may be
// nil.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// explain makes an Error of what ended the load. ctx is the load's own.
func (r *reading) explain(ctx context.Context, f failure) *Error {
	var panicked *azure.PanicError
	if errors.As(f.err, &panicked) {
		r.cfg.logger().Error("provider: code that a load calls panicked", "vault", r.cfg.VaultURL, "stack", string(panicked.Stack))
	}
	d := r.session.Diagnose(ctx, f.step, f.err)
	if d.Step == azure.StepAuthenticate {
		f.secret = ""
	}
	return &Error{
		Vault: r.cfg.VaultURL, Step: d.Step, Secret: f.secret,
		Read: int(r.read.Load()), Total: len(r.entries),
		StatusCode: d.StatusCode, Code: d.Code, Hint: d.Hint,
		application: d.Identity, reason: d.Reason, cause: d.Cause,
	}
}
