package azure

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// Diagnosis is an error taken apart into what may be shown.
type Diagnosis struct {
	Step       string // StepAuthenticate if it was the credential's, else as given
	Identity   string // the id of the application that was refused; "" if unknown
	StatusCode int    // of the answer, if there was one
	Code       string // the answer's innermost code, or ""
	Reason     string // what happened
	Hint       string // what to do; "" if unknown
	Cause      error  // for errors.Is and errors.As; may be nil

	kind   kind
	client string          // the address that a firewall saw, "" if unknown
	net    *netcause.Error // why there was no answer, if there was none
}

// Diagnose says why a step failed. ctx is the load's, whose cause is a [*LateError]
// if the load's own time ended it.
func (s *Session) Diagnose(ctx context.Context, step string, err error) Diagnosis {
	d := s.diagnose(err)
	d.Step = step
	if s.waitedForToken(err, d) {
		d.Step = StepAuthenticate
	}
	more := ""
	if d.isNet(netcause.Timeout) && ctx.Err() != nil {
		more = s.late(ctx, &d)
	}
	if d.StatusCode == http.StatusNotFound && d.Step == StepGet && s.listed {
		d.kind = kindGone
	}
	s.explain(&d)
	if d.net != nil && d.Hint != "" && d.StatusCode == 0 {
		d.Hint += more
	}
	if d.net != nil && d.Step == StepAuthenticate && domainName.MatchString(d.net.Host) && !strings.Contains(d.Reason, d.net.Host) {
		d.Reason = d.net.Host + ": " + d.Reason // the vault's own is known
	}
	if d.net != nil && d.net.Status != 0 {
		d.StatusCode = d.net.Status // after the hint, which is not about the vault's answer
	}
	s.identify(&d)
	return d
}

func (d Diagnosis) isNet(kind netcause.Kind) bool { return d.net != nil && d.net.Kind == kind }

// waitedForToken is true when the credential failed, or the load ended while the
// credential was being asked.
func (s *Session) waitedForToken(err error, d Diagnosis) bool {
	var fromCredential credentialError
	if errors.As(err, &fromCredential) || d.kind == kindChallenge || d.kind == kindResource {
		return true
	}
	return (d.isNet(netcause.Timeout) || d.isNet(netcause.Canceled)) && s.gate.waiting.Load() > 0
}

func (s *Session) diagnose(err error) Diagnosis {
	var (
		auth    *azidentity.AuthenticationFailedError
		refused *azcore.ResponseError
		lost    *netcause.Error
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
		return fromNet(lost)
	case errors.As(err, &inURL):
		return fromNet(netcause.Read(err)) // a client of the caller's
	case errors.As(err, &own):
		return Diagnosis{kind: own.kind, Reason: own.Error(), Cause: own}
	}
	if lost := netcause.Typed(err); lost != nil {
		return fromNet(lost)
	}
	if d, known := ofText(err.Error()); known {
		return d
	}
	return s.unknown(err)
}

// unknown quotes an error whose type and text are not known here, unless it may be
// net/http's through the SDK.
func (s *Session) unknown(err error) Diagnosis {
	var fromCredential credentialError
	if s.wire == nil && !s.foreign && !errors.As(err, &fromCredential) {
		return fromNet(netcause.Read(err))
	}
	text, whole := ownWords(err.Error())
	d := Diagnosis{Reason: text}
	if whole {
		d.Cause = err
	}
	return d
}

func fromNet(lost *netcause.Error) Diagnosis {
	d := Diagnosis{net: lost, Reason: lost.Error(), Cause: lost}
	if lost.Kind == netcause.Page {
		d.Reason = statusText(lost.Status, "") + ": " + d.Reason
	}
	return d
}

// ofText is what is known of an error of the SDK's that comes as text only.
func ofText(text string) (Diagnosis, bool) {
	if k := kindOfText(text); k != kindUnknown {
		d := Diagnosis{kind: k, Reason: meaningOf(k)}
		if k == kindChain {
			d.Reason = attempts(text)
		}
		return d, true
	}
	for _, known := range netTexts {
		if strings.Contains(text, known.part) {
			return fromNet(netcause.Of(known.kind)), true
		}
	}
	return Diagnosis{}, false
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
		if entra := s.entraWire(); entra != nil && entra.lost() != nil {
			return fromNet(entra.lost()) // the SDK hands on its text only
		}
		if d, known := ofText(auth.Error()); known {
			return d
		}
		return Diagnosis{kind: kindCredential, Reason: meaningOf(kindCredential)}
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
			d.client = "the address " + address.String()
		}
	}
	d.Cause = &azcore.ResponseError{StatusCode: d.StatusCode, ErrorCode: d.Code}
	return d
}

// statusText is a status with its code, which says more than the status's own text.
func statusText(status int, code string) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, cmp.Or(code, http.StatusText(status))))
}
