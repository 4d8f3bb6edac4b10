package provider

import (
	"context"
	"fmt"
	"strings"
)

// The steps of a load, as Error.Step names them.
const (
	stepAuthenticate = "authenticate"
	stepList         = "list"
	stepGet          = "get"
	stepMap          = "map"
)

// Error is why a load of a vault failed. errors.Is finds a context's end in it,
// and errors.As an [azcore.ResponseError] with status and code where the vault
// refused. What it unwraps to is stripped of the answer's body.
type Error struct {
	// Vault is the vault's address; "" where the Config gave none.
	Vault string
	// Step is "authenticate", "list", "get" or "map" (names to keys).
	Step string
	// Secret is the name of the secret that Step was about, if it was about one.
	Secret string
	// Read is how many of the Total secrets that were found had been read.
	Read, Total int
	// Status is the HTTP status of the answer that ended the load, the vault's or
	// Entra's; 0 when there was none.
	Status int
	// Code is the innermost code of that answer, such as "ForbiddenByRbac",
	// "SecretNotFound" or "AADSTS7000215"; "" when there was none.
	Code string
	// Cure is what to do about it; "" when unknown.
	Cure string

	reason string
	cause  error
}

// Error says which vault, which step, what happened, how far the load came, and
// the cure.
func (e *Error) Error() string {
	var b strings.Builder
	vault := e.Vault
	if vault == "" {
		vault = "key vault"
	}
	fmt.Fprintf(&b, "provider: %s: %s", vault, e.Step)
	if e.Secret != "" && e.Step != stepMap {
		b.WriteString(" " + e.Secret)
	}
	b.WriteString(": " + e.reason)
	if e.Total > 0 {
		fmt.Fprintf(&b, " (%d of %d secrets read)", e.Read, e.Total)
	}
	if e.Cure != "" {
		b.WriteString("; " + e.Cure)
	}
	return b.String()
}

// Unwrap is the cause, without anything that quotes an answer's body. It may be
// nil.
func (e *Error) Unwrap() error { return e.cause }

// patience is a status with which the vault, or Entra, puts the load off.
func (r *reading) patience() int {
	status := 0
	if r.session.wire != nil {
		status = r.session.wire.patience()
	}
	if w := r.session.entra.wire; w != nil {
		status = max(status, w.patience())
	}
	return status
}

// explain makes an Error of what ended the load. parent is the caller's context,
// ctx the load's own.
func (r *reading) explain(f failure, parent, ctx context.Context) *Error {
	if f.step != stepAuthenticate && r.waitedForToken(f.err) {
		f.step, f.secret = stepAuthenticate, ""
	}
	d := diagnose(f.err)
	if d.kind == kindDeadline {
		switch {
		case parent.Err() != nil:
			d.reason = "the context's deadline passed"
		case ctx.Err() != nil:
			d.reason = fmt.Sprintf("no result within the Timeout of %v", r.cfg.Timeout)
		default:
			d.reason = "a time-out of the transport's own passed"
		}
		if d.status = r.patience(); d.status != 0 {
			d.reason += ", the last answer being " + statusText(d.status)
		}
	}
	return &Error{
		Vault: r.cfg.VaultURL, Step: f.step, Secret: f.secret,
		Read: int(r.read.Load()), Total: len(r.entries),
		Status: d.status, Code: d.code,
		Cure:   cure(f.step, d),
		reason: d.reason, cause: d.cause,
	}
}
