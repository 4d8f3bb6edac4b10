package httpclient

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/netcause"
)

// asked is what every error about an endpoint tells.
type asked struct {
	step, url, clientID string
	address             string // the setting that says where the endpoint is
	absent              string // what to do if nothing listens there; empty for the usual
}

// setting is what to look at if something else answers there.
func (at asked) setting() string { return cmp.Or(at.address, "the URL in the settings") }

// noAnswer is the error of a request that got no whole answer. watch may be nil.
func noAnswer(at asked, watch *netcause.Watch, err error) *TokenError {
	n := readNetwork(watch, err, at.setting())
	var cause *netcause.Error
	if at.absent != "" && errors.As(n.err, &cause) && cause.Kind == netcause.Refused {
		n.cure = at.absent
	}
	return &TokenError{
		Step: at.step, URL: at.url, ClientID: at.clientID,
		Err: n.err, Hint: n.cure, Temporary: !n.permanent, clientWide: n.permanent,
	}
}

// badAnswer is the error of an answer with the right status that is not the
// documented one. err never quotes it.
func badAnswer(at asked, a *answer, err error) *TokenError {
	failed := &TokenError{
		Step: at.step, URL: at.url, ClientID: at.clientID,
		StatusCode: a.status, Err: err, Temporary: true,
		Hint: "check " + at.setting() + " and the proxy: something else answers in the server's place",
	}
	var wrong *wrongAnswerError
	var page *netcause.Error
	switch {
	case errors.As(err, &page):
		failed.Hint = page.Cure(at.setting())
	case errors.As(err, &wrong):
		failed.Hint, failed.Temporary, failed.clientWide = "check "+at.setting()+": "+wrong.cure, false, true
	}
	return failed
}

// wrongAnswerError is what parse found in an answer that trying again does not mend. The
// cure follows the setting that names the server.
type wrongAnswerError struct{ what, cure string }

func (e *wrongAnswerError) Error() string { return e.what }

// refused is what an answer says that is a refusal.
type refused struct {
	status      int
	code        string // error
	mpCode      string
	description string // error_description, cleaned and redacted
	clock       string // how this machine's clock differs by the answer's Date; empty if it does not
}

// verdict is what a refusal means.
type verdict struct {
	kind       error // one of this package's Err values, or nil
	clientWide bool
	cure       string
	shared     string // the cure without what the request asked for; empty if it is the same
}

// refusal is the error of an answer with another status than 200.
func refusal(at asked, a *answer, r request) *TokenError {
	failed := &TokenError{
		Step: at.step, URL: at.url, ClientID: at.clientID,
		StatusCode: a.status, Temporary: isTemporary(a.status), RetryAfter: a.retryAfter(),
		clientWide: a.status >= 300 && a.status < 400 || a.status == http.StatusNotFound || a.status == http.StatusGone,
		Hint:       statusCure(a.status, at.setting()),
	}
	failed.date, _ = a.date()
	var fields struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		URI         string `json:"error_uri"`
	}
	if json.Unmarshal(a.body, &fields) == nil {
		failed.Code, failed.Description, failed.URI = quote(fields.Error, r.secrets), quote(fields.Description, r.secrets), quote(fields.URI, r.secrets)
		failed.MPCode = mpCode.FindString(failed.Description + " " + failed.URI)
		if m := traceID.FindStringSubmatch(failed.Description); m != nil {
			failed.TraceID = m[1]
		}
	}
	if failed.Code+failed.Description == "" && failed.Hint == "" {
		failed.Hint = "check " + at.setting() + " and the proxy: something else may answer in the server's place, without a reason"
	}
	if r.explain != nil {
		v := r.explain(refused{a.status, failed.Code, failed.MPCode, failed.Description, a.clock()})
		failed.Err = v.kind
		if v.cure != "" {
			failed.Hint, failed.sharedHint, failed.clientWide = v.cure, v.shared, v.clientWide
		}
	}
	if page := netcause.PageOf(a.status, a.header, a.body); page != nil {
		failed.Err, failed.Hint, failed.sharedHint = page, page.Cure(at.setting()), ""
	}
	return failed
}

var (
	mpCode  = regexp.MustCompile(`\bMP-\d{3}\b`)
	traceID = regexp.MustCompile(`(?i)\(?trace_?id:\s*([\w-]+)\)?`)
)

// isTemporary reports whether the status is one of a temporary failure.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError
}

// statusCure is what to do if only the status is known. setting names the server.
func statusCure(status int, setting string) string {
	switch {
	case isTemporary(status):
		return "wait: the request is tried again later"
	case status >= 300 && status < 400:
		return "check " + setting + ": it leads to a redirect, which token requests do not follow"
	case status == http.StatusNotFound:
		return "check " + setting + ": there is no such endpoint"
	}
	return ""
}

// quote makes a server's words fit for a log line: printable, short, and without what
// the request kept secret.
func quote(text string, secrets []string) string {
	// Cut before it is searched, and again: redacting makes it shorter or longer.
	text = redact(cut(printable(text), 4*maxQuote), secrets)
	return cut(text, maxQuote)
}

// printable puts a space in place of each character that is not printed.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// redact replaces the parts of a secret that stand in the text: any run of redactFrom
// of its characters or more. A shorter secret is replaced as a whole.
func redact(text string, secrets []string) string {
	hide := make([]bool, len(text))
	mark := func(run string) {
		for from := 0; run != ""; {
			i := strings.Index(text[from:], run)
			if i < 0 {
				return
			}
			for j := range len(run) {
				hide[from+i+j] = true
			}
			from += i + 1
		}
	}
	for _, secret := range secrets {
		if len(secret) <= redactFrom {
			mark(secret)
			continue
		}
		runs := make(map[string]bool, len(secret))
		for i := range len(secret) - redactFrom + 1 {
			runs[secret[i:i+redactFrom]] = true
		}
		for i := range max(0, len(text)-redactFrom+1) {
			if runs[text[i:i+redactFrom]] {
				for j := range redactFrom {
					hide[i+j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hide[i]:
			b.WriteByte(text[i])
		case i == 0 || !hide[i-1]:
			b.WriteString(redacted)
		}
	}
	return b.String()
}

// classify tells the cache what a failed fetch means.
func classify(err error) tokencache.Failure {
	var failed *TokenError
	if !errors.As(err, &failed) {
		return tokencache.Failure{Temporary: true} // the cache's own: see explained
	}
	return tokencache.Failure{Temporary: failed.Temporary, ClientWide: failed.clientWide, RetryAfter: failed.RetryAfter}
}

// dated is a remembered error with when the next request is due and, if more than one
// failed, since when they fail.
func dated(err error, failures int, since, retryAt time.Time) error {
	var failed *TokenError
	if !errors.As(err, &failed) {
		return err
	}
	remembered := *failed
	remembered.RetryAt = retryAt
	if failures > 1 {
		remembered.Since = since
	}
	return &remembered
}

// shared is an error as the callers of other tokens see it, without the server's words
// and without what was asked for. Those may name the organisation, the person or the
// scope of the request that failed.
func shared(err error) error {
	var failed *TokenError
	if !errors.As(err, &failed) {
		return err
	}
	other := failed.withoutWords()
	if other.sharedHint != "" {
		other.Hint = other.sharedHint
	}
	return other
}
