package httpclient

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/internal/problems"
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

// TokenError says why there is no token. Its text begins with the setting concerned and
// what to do. What happened follows. It never holds a token, an assertion, a key or more
// of an answer's body than the fields below.
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
	// RetryAt is when the next request is due. Requests before that get this error
	// without asking again. It is zero in an error that was not remembered.
	RetryAt time.Time
	// Since is when requests began to fail. It is zero if only one has failed.
	Since time.Time

	// Hint is what to do, with the setting to look at.
	Hint string
	// Err is what lies below: a network error, or one of this package's Err
	// values.
	Err error

	// clientWide is set if no other token of the client could be had either.
	clientWide bool
	// sharedHint is Hint as the callers of other tokens may see it; empty if it is the
	// same.
	sharedHint string
	// date is the server's clock at the answer; zero without one.
	date time.Time
}

// Error tells it in one line: what to do, and after a dash what happened. It has as many
// of the server's words as a line of a log has room for.
func (e *TokenError) Error() string {
	if e == nil {
		return "httpclient: no error"
	}
	var b strings.Builder
	b.WriteString("httpclient: ")
	if e.Hint != "" {
		b.WriteString(e.Hint + " - ")
	}
	b.WriteString(e.Step)
	if e.ClientID != "" {
		b.WriteString(" of client " + e.ClientID)
	}
	if e.URL != "" {
		b.WriteString(" at " + e.URL)
	}
	b.WriteString(": ")
	status, words := e.cause()
	b.WriteString(status + cut(printable(words), max(minWords, maxLine-b.Len()-len(status))))
	if !e.Since.IsZero() {
		fmt.Fprintf(&b, " (failing since %s, next try at %s UTC)", e.Since.UTC().Format(time.TimeOnly), e.RetryAt.UTC().Format(time.TimeOnly))
	}
	return b.String()
}

// cause is what the server answered, or what lies below.
func (e *TokenError) cause() (status, words string) {
	if e.StatusCode == 0 {
		return "", problems.OneLine(e.Err)
	}
	status = strconv.Itoa(e.StatusCode) + " " + cut(e.Code, minWords)
	if e.Code == "" {
		status += http.StatusText(e.StatusCode)
	}
	switch {
	case e.Description != "":
		return status + ": ", e.Description
	case e.Code == "" && e.Err != nil && !isSentinel(e.Err):
		return status + ": ", e.Err.Error()
	}
	return status, ""
}

// withoutWords is the error without the server's words, which may name a person. Code
// and TraceID stay if they look like that.
func (e *TokenError) withoutWords() *TokenError {
	other := *e
	other.Description, other.URI = "", ""
	if !errorCode.MatchString(e.Code) {
		other.Code = ""
	}
	if !traceIDText.MatchString(e.TraceID) || isPersonNo(e.TraceID) {
		other.TraceID = ""
	}
	return &other
}

var (
	errorCode   = regexp.MustCompile(`^[A-Za-z][A-Za-z_.-]{0,60}$`)
	traceIDText = regexp.MustCompile(`^[0-9A-Za-z-]{0,40}[0-9][0-9A-Za-z-]{0,40}$`)
)

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

func isSentinel(err error) bool {
	return slices.Contains([]error{
		ErrClockSkew, ErrUnknownClient, ErrUnknownKey, ErrExpiredKey, ErrScopeNotGranted, ErrNotDelegated,
	}, err)
}
