package httpclient

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What a program may want to branch on. Test for them with [errors.Is]. If Maskinporten
// or Altinn is the cause, the error itself is a [*TokenError] and says more.
var (
	// ErrClosed says that the token source was closed.
	ErrClosed = errors.New("httpclient: the token source is closed")
	// ErrTemporary says that the same request may succeed later. The cause is a network
	// error, a status of 408, 429 or 5xx, or an answer that is not a token. If trying
	// again cannot help, as with a certificate that is not trusted, it is not temporary.
	ErrTemporary = errors.New("httpclient: temporary failure")
	// ErrClockSkew says that this machine's clock is wrong, also after the
	// correction that is tried once, or too wrong to be corrected for.
	ErrClockSkew = errors.New("httpclient: this machine's clock differs from Maskinporten's")
	// ErrUnknownClient says that Maskinporten does not know the client id.
	ErrUnknownClient = errors.New("httpclient: unknown client")
	// ErrUnknownKey says that the key is not registered on the client, or not
	// yet: a new key takes up to two minutes to work.
	ErrUnknownKey = errors.New("httpclient: unknown key")
	// ErrExpiredKey says that the key's registration, or certificate, expired.
	ErrExpiredKey = errors.New("httpclient: expired key")
	// ErrScopeNotGranted says that the client may not have the scope.
	ErrScopeNotGranted = errors.New("httpclient: scope not granted")
	// ErrNotDelegated says that the consumer has not delegated access.
	ErrNotDelegated = errors.New("httpclient: access not delegated")
	// ErrMissing says that a setting is missing.
	ErrMissing = errors.New("httpclient: a setting is missing")
	// ErrInsecureURL says that a request with a token would have gone over
	// plain http to another machine.
	ErrInsecureURL = errors.New("httpclient: a token is not sent over plain http")
	// ErrHostNotAllowed says that a request's host is not among those that
	// [WithAllowedHosts] lists.
	ErrHostNotAllowed = errors.New("httpclient: host not allowed")
)

// TokenError says why there is no token. Its text names what happened, the
// setting concerned and what to do. It never holds a token, an assertion, a key
// or more of an answer's body than the fields below.
type TokenError struct {
	// Step is what failed: "token request", "token exchange", "issuer metadata"
	// or "signing key".
	Step string
	// URL is the endpoint that was asked; empty without one.
	URL string
	// ClientID is the Maskinporten client concerned; empty for a step that does
	// not name one, and if only Texas knows it.
	ClientID string

	// StatusCode is the answer's HTTP status; 0 without an answer.
	StatusCode int
	// Code, Description and URI are the answer's "error", "error_description"
	// and "error_uri" (RFC 6749 section 5.2), at most 1,000 characters each,
	// without control characters and secrets. Description and URI are empty in an
	// error that another token's request caused.
	Code        string
	Description string
	URI         string
	// MPCode is Maskinporten's own code, such as "MP-100"; empty without one.
	MPCode string
	// TraceID is what Digdir's support asks for; empty without one.
	TraceID string

	// Temporary reports whether the same request may succeed later. It is what
	// errors.Is(err, ErrTemporary) says.
	Temporary bool
	// RetryAfter is how long the server asked to wait; 0 if it did not.
	RetryAfter time.Duration
	// Since is when requests began to fail, and RetryAt when the next one is
	// due; requests before that get this error without asking again. Both are
	// zero in an error that was not remembered.
	Since, RetryAt time.Time

	// Hint is what to do, with the setting to look at.
	Hint string
	// Err is what lies below: a network error, or one of this package's Err
	// values.
	Err error

	// clientWide is set if no other token of the client could be had either.
	clientWide bool
	// date is the server's clock at the answer; zero without one.
	date time.Time
}

// Error tells it in one line: step, client, endpoint, answer, what to do.
func (e *TokenError) Error() string {
	if e == nil {
		return "httpclient: no error"
	}
	var b strings.Builder
	b.WriteString("httpclient: " + e.Step)
	if e.ClientID != "" {
		b.WriteString(" of client " + e.ClientID)
	}
	if e.URL != "" {
		b.WriteString(" at " + e.URL)
	}
	b.WriteString(": ")
	b.WriteString(e.cause())
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	if !e.RetryAt.IsZero() {
		fmt.Fprintf(&b, " (failing since %s, next try at %s UTC)", e.Since.UTC().Format(time.TimeOnly), e.RetryAt.UTC().Format(time.TimeOnly))
	}
	return b.String()
}

func (e *TokenError) cause() string {
	if e.StatusCode == 0 {
		return fmt.Sprint(e.Err)
	}
	parts := []string{fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	switch {
	case e.Description != "":
		parts = append(parts, e.Description)
	case e.Code == "" && e.Err != nil && !isSentinel(e.Err):
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives [errors.Is] the cause, and [ErrTemporary] if it applies.
func (e *TokenError) Unwrap() []error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	if e.Temporary {
		errs = append(errs, ErrTemporary)
	}
	return errs
}

// missingError is the text of an error that is ErrMissing.
type missingError string

func missing(format string, args ...any) error { return missingError(fmt.Sprintf(format, args...)) }

func (e missingError) Error() string { return string(e) }

// Is makes it one with [ErrMissing].
func (missingError) Is(target error) bool { return target == ErrMissing }

func isSentinel(err error) bool {
	return slices.Contains([]error{
		ErrClockSkew, ErrUnknownClient, ErrUnknownKey, ErrExpiredKey, ErrScopeNotGranted, ErrNotDelegated,
	}, err)
}
