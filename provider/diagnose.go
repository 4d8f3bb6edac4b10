package provider

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// kind is what went wrong where no status tells.
type kind int

const (
	kindOther kind = iota
	kindDeadline
	kindCanceled
	kindHost
	kindTLS
	kindNetwork
	kindTenant
	kindChallenge
	kindGarbage
	kindChain
)

// diagnosis is an error taken apart into what may be shown.
type diagnosis struct {
	kind   kind
	status int
	code   string
	reason string
	cause  error
}

var (
	akvCode   = regexp.MustCompile(`^AKV\d{5}`)
	plainCode = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
)

// waitedForToken is true when the credential failed, or the load ended while it
// was being asked.
func (r *reading) waitedForToken(err error) bool {
	var fromCredential credentialError
	if errors.As(err, &fromCredential) || diagnose(err).kind == kindChallenge {
		return true
	}
	ended := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	return ended && r.session.gate.asking.Load() > 0
}

func diagnose(err error) diagnosis {
	var refused *azcore.ResponseError
	var auth *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &auth):
		return diagnoseAuth(auth)
	case errors.As(err, &refused):
		d := diagnosis{status: refused.StatusCode, code: vaultCode(refused)}
		d.reason = statusText(d.status, d.code)
		d.cause = &azcore.ResponseError{StatusCode: d.status, ErrorCode: d.code}
		return d
	}
	d := byText(err.Error())
	text := err.Error()
	var inURL *url.Error
	if errors.As(err, &inURL) {
		text = inURL.Err.Error()
	}
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return diagnosis{kind: kindDeadline, cause: context.DeadlineExceeded}
	case errors.Is(err, context.Canceled):
		return diagnosis{kind: kindCanceled, reason: "the context was canceled", cause: context.Canceled}
	case errors.As(err, &dns) && dns.IsNotFound:
		return diagnosis{kind: kindHost, reason: "there is no host " + dns.Name, cause: dns}
	case errors.As(err, &cert):
		return diagnosis{kind: kindTLS, reason: oneLine(cert.Error()), cause: cert}
	case inURL != nil:
		d.reason, d.cause = oneLine(text), err
		if d.kind != kindTLS {
			d.kind = kindNetwork
		}
		return d
	case d.kind != kindOther:
		return d
	case errors.Is(err, errTooLarge), errors.Is(err, errNoValue), errors.Is(err, errNoID), errors.Is(err, errOtherHost), errors.Is(err, errLoop):
		return diagnosis{kind: kindGarbage, reason: oneLine(text), cause: err}
	}
	d = diagnosis{reason: oneLine(text)}
	if !strings.Contains(text, "\n") {
		d.cause = err // azidentity's errors that run over lines quote answers
	}
	return d
}

// byText knows the errors of the SDK's that come as text alone.
func byText(text string) diagnosis {
	switch {
	case strings.Contains(text, "isn't configured to acquire tokens for tenant"):
		return diagnosis{kind: kindTenant, reason: "the credential is for another tenant than the vault's"}
	case strings.Contains(text, "doesn't match the requested domain"):
		return diagnosis{kind: kindChallenge, reason: "the host is not one of Azure Key Vault's"}
	case strings.Contains(text, "WWW-Authenticate header"), strings.Contains(text, errChallenge.Error()):
		return diagnosis{kind: kindChallenge, reason: "the answer does not say who issues the token"}
	case strings.Contains(text, "unmarshalling type"), strings.Contains(text, "json decode error"):
		return diagnosis{kind: kindGarbage, reason: "the answer is not the JSON that was expected"}
	case strings.Contains(text, "no such host"):
		return diagnosis{kind: kindHost, reason: "the host is unknown"}
	case strings.Contains(text, "x509: "), strings.Contains(text, "tls: "):
		return diagnosis{kind: kindTLS, reason: "the TLS handshake failed"}
	case strings.Contains(text, "deadline exceeded"), strings.Contains(text, "Client.Timeout"):
		return diagnosis{kind: kindDeadline, cause: context.DeadlineExceeded}
	case strings.Contains(text, errTooLarge.Error()):
		return diagnosis{kind: kindGarbage, reason: errTooLarge.Error()}
	case strings.Contains(text, "dial tcp"), strings.Contains(text, "connection re"), strings.Contains(text, "EOF"):
		return diagnosis{kind: kindNetwork, reason: "the connection failed"}
	case strings.Contains(text, "Attempted credentials:"):
		return diagnosis{kind: kindChain, reason: attempts(text)}
	}
	return diagnosis{}
}

var attempt = regexp.MustCompile(`^\t(\w+Credential: .+)`)

// attempts tells why each credential of a chain failed, by the first line of its
// error: what follows may quote an answer.
func attempts(text string) string {
	reasons := []string{"no credential of the chain gave a token"}
	for line := range strings.Lines(text) {
		if m := attempt.FindStringSubmatch(line); m != nil {
			reasons = append(reasons, oneLine(m[1]))
		}
	}
	return strings.Join(reasons, "; ")
}

// diagnoseAuth reads Entra's answer. The error's own text quotes all of it.
func diagnoseAuth(auth *azidentity.AuthenticationFailedError) diagnosis {
	if auth.RawResponse == nil {
		if d := byText(auth.Error()); d.kind != kindOther {
			return d
		}
		return diagnosis{reason: "the credential failed"}
	}
	var body struct {
		Error string
		Codes []int `json:"error_codes"`
	}
	raw, _ := runtime.Payload(auth.RawResponse)
	_ = json.Unmarshal(raw, &body)
	d := diagnosis{status: auth.RawResponse.StatusCode, code: clean(body.Error)}
	if len(body.Codes) > 0 {
		d.code = fmt.Sprintf("AADSTS%d", body.Codes[0])
	}
	d.reason = statusText(d.status, d.code)
	return d
}

// vaultCode is the innermost code of Key Vault's answer, or the AKV code with
// which its message begins.
func vaultCode(refused *azcore.ResponseError) string {
	type fault struct {
		Code, Message string
		Inner         *fault `json:"innererror"`
	}
	var body struct{ Error fault }
	if refused.RawResponse != nil {
		raw, _ := runtime.Payload(refused.RawResponse)
		_ = json.Unmarshal(raw, &body)
	}
	code := clean(refused.ErrorCode)
	if akv := akvCode.FindString(body.Error.Message); akv != "" {
		code = akv
	}
	for inner := body.Error.Inner; inner != nil; inner = inner.Inner {
		if c := clean(inner.Code); c != "" {
			code = c
		}
	}
	return code
}

func clean(code string) string {
	if plainCode.MatchString(code) {
		return code
	}
	return ""
}

func statusText(status int, code ...string) string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
	if c := strings.Join(code, ""); c != "" {
		text += " " + c
	}
	return text
}

// oneLine is the beginning of an error's text, up to where an answer's body would
// be quoted.
func oneLine(text string) string {
	if i := strings.IndexAny(text, "\r\n{<"); i >= 0 {
		text = text[:i]
	}
	if len(text) > 300 {
		text = text[:300]
	}
	return strings.TrimRight(strings.ToValidUTF8(text, ""), " :")
}
