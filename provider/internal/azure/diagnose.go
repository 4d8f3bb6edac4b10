package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Diagnosis is an error taken apart into what may be shown.
type Diagnosis struct {
	Step       string // StepAuthenticate if it was the credential's, else as given
	StatusCode int    // of the answer, if there was one
	Code       string // the answer's innermost code, or ""
	Reason     string // what happened
	Hint       string // what to do; "" if unknown
	Cause      error  // for errors.Is and errors.As; may be nil

	kind kind
}

// LateError is the cause of a context that a load's own time ended.
type LateError struct{ After time.Duration }

func (e *LateError) Error() string {
	return fmt.Sprintf("no result within the Timeout of %v", e.After)
}

// Diagnose says why a step failed. ctx is the load's, whose cause is a [*LateError]
// if the load's own time ended it.
func (s *Session) Diagnose(ctx context.Context, step string, err error) Diagnosis {
	d := s.diagnose(err)
	d.Step = step
	if s.waitedForToken(err, d) {
		d.Step = StepAuthenticate
	}
	if d.kind == kindDeadline {
		s.late(ctx, &d)
	}
	if d.StatusCode == http.StatusNotFound && d.Step == StepGet && s.listed {
		d.kind = kindGone
	}
	d.Hint = hint(d)
	var proxy *proxyError
	if errors.As(d.Cause, &proxy) {
		d.StatusCode = proxy.status // after the hint, which is not about the vault's answer
	}
	return d
}

// waitedForToken is true when the credential failed, or the load ended while the
// credential was being asked.
func (s *Session) waitedForToken(err error, d Diagnosis) bool {
	var fromCredential credentialError
	if errors.As(err, &fromCredential) || d.kind == kindChallenge || d.kind == kindResource {
		return true
	}
	return (d.kind == kindDeadline || d.kind == kindCanceled) && s.gate.waiting.Load() > 0
}

// late says whose time ended, and what the server's last word was.
func (s *Session) late(ctx context.Context, d *Diagnosis) {
	var own *LateError
	switch {
	case ctx.Err() == nil:
		d.Reason = "a time-out of the transport's own passed"
		var op *net.OpError
		if errors.As(d.Cause, &op) {
			d.Reason += ": " + clean(op.Error())
		}
	case errors.As(context.Cause(ctx), &own):
		d.Reason = own.Error()
	default:
		d.Reason = "the context's deadline passed"
	}
	if s.wire != nil {
		d.StatusCode = s.wire.busyStatus()
	}
	if s.entra != nil {
		d.StatusCode = max(d.StatusCode, s.entra.wire.busyStatus())
	}
	if d.StatusCode != 0 {
		d.Reason += ", the last answer being " + statusText(d.StatusCode, "")
	}
}

func (s *Session) diagnose(err error) Diagnosis {
	var (
		auth    *azidentity.AuthenticationFailedError
		refused *azcore.ResponseError
		lost    lostError
		inURL   *url.Error
		own     ownError
		panicky *PanicError
	)
	switch {
	case errors.As(err, &panicky):
		return Diagnosis{kind: kindPanic, Reason: panicky.Error(), Cause: panicky}
	case errors.As(err, &auth):
		return s.diagnoseCredential(auth)
	case errors.As(err, &refused):
		return s.diagnoseVault(refused)
	case errors.As(err, &lost):
		return fromTransport(lost)
	case errors.As(err, &inURL):
		return fromTransport(readTransport(err)) // a client of the caller's
	case errors.As(err, &own):
		return Diagnosis{kind: own.kind, Reason: own.Error(), Cause: own}
	}
	if lost := readTyped(err); lost.cause != nil {
		return fromTransport(lost)
	}
	if k := kindOfText(err.Error()); k != kindUnknown {
		return ofKind(k, err.Error())
	}
	return s.unknown(err)
}

// unknown quotes an error whose type and text are not known here, unless it may be
// net/http's through the SDK.
func (s *Session) unknown(err error) Diagnosis {
	var fromCredential credentialError
	if s.wire == nil && !s.foreign && !errors.As(err, &fromCredential) {
		return fromTransport(readTransport(err))
	}
	text, whole := ownWords(err.Error())
	d := Diagnosis{Reason: text}
	if whole {
		d.Cause = err
	}
	return d
}

func fromTransport(lost lostError) Diagnosis {
	d := Diagnosis{kind: lost.kind, Reason: lost.Error(), Cause: lost}
	var dns *net.DNSError
	switch {
	case lost.kind == kindCanceled:
		d.Reason = meaningOf(kindCanceled)
	case lost.kind == kindHost && errors.As(lost, &dns):
		d.Reason = "there is no host " + clean(dns.Name)
	}
	return d
}

// ofKind is what is known of an error that comes as text only.
func ofKind(k kind, text string) Diagnosis {
	d := Diagnosis{kind: k, Reason: meaningOf(k)}
	switch k {
	case kindDeadline:
		d.Cause = context.DeadlineExceeded
	case kindChain:
		d.Reason = attempts(text)
	}
	return d
}

var attempt = regexp.MustCompile(`^\t(\w+Credential: .+)`)

// attempts tells why each credential of a chain failed, by the first line of its
// error as far as that quotes nothing.
func attempts(text string) string {
	reasons := []string{meaningOf(kindChain)}
	for line := range strings.Lines(text) {
		if m := attempt.FindStringSubmatch(line); m != nil {
			words, _, _ := strings.Cut(m[1], `"`)
			words, _ = ownWords(words)
			reasons = append(reasons, words)
		}
	}
	return strings.Join(reasons, "; ")
}

// diagnoseCredential reads Entra's answer. The error's own text quotes all of it.
func (s *Session) diagnoseCredential(auth *azidentity.AuthenticationFailedError) Diagnosis {
	if auth.RawResponse == nil {
		if s.entra != nil && s.entra.wire.lost() != nil {
			return s.diagnose(s.entra.wire.lost()) // the SDK hands on its text only
		}
		if k := kindOfText(auth.Error()); k != kindUnknown {
			return ofKind(k, auth.Error())
		}
		return ofKind(kindCredential, "")
	}
	var body struct {
		Error string
		Codes []int `json:"error_codes"`
	}
	raw, _ := runtime.Payload(auth.RawResponse)
	_ = json.Unmarshal(raw, &body)
	d := Diagnosis{StatusCode: auth.RawResponse.StatusCode, Code: s.code(body.Error)}
	if len(body.Codes) > 0 {
		d.Code = fmt.Sprintf("AADSTS%d", body.Codes[0])
	}
	d.Reason = statusText(d.StatusCode, d.Code)
	return d
}

var (
	akvCode       = regexp.MustCompile(`^AKV\d{5}`)
	clientAddress = regexp.MustCompile(`Client address: ([0-9A-Fa-f.:]{2,45})`)
)

// diagnoseVault reads Key Vault's answer: its innermost code, or the AKV code with
// which its message begins, and the address that its firewall saw.
func (s *Session) diagnoseVault(refused *azcore.ResponseError) Diagnosis {
	type fault struct {
		Code, Message string
		Inner         *fault `json:"innererror"`
	}
	var body struct{ Error fault }
	if refused.RawResponse != nil {
		raw, _ := runtime.Payload(refused.RawResponse)
		_ = json.Unmarshal(raw, &body)
	}
	d := Diagnosis{StatusCode: refused.StatusCode, Code: s.code(refused.ErrorCode)}
	if akv := akvCode.FindString(body.Error.Message); akv != "" {
		d.Code = akv
	}
	for inner := body.Error.Inner; inner != nil; inner = inner.Inner {
		if code := s.code(inner.Code); code != "" {
			d.Code = code
		}
	}
	d.Reason = statusText(d.StatusCode, d.Code)
	if refused.RawResponse != nil && mayPassStatus(d.StatusCode) {
		if wait := retryAfter(refused.RawResponse.Header); wait > 0 {
			d.Reason += fmt.Sprintf(", asking to wait %v", wait.Round(time.Second))
		}
	}
	if m := clientAddress.FindStringSubmatch(body.Error.Message); m != nil && d.StatusCode == http.StatusForbidden {
		if address, err := netip.ParseAddr(strings.TrimRight(m[1], ".")); err == nil {
			d.Reason += " for the address " + address.String()
		}
	}
	d.Cause = &azcore.ResponseError{StatusCode: d.StatusCode, ErrorCode: d.Code}
	return d
}

func statusText(status int, code string) string {
	return strings.TrimSpace(strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status))) + " " + code)
}
