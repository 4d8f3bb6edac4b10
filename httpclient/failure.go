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

// asked is what every error about an endpoint begins with.
type asked struct {
	step, url, clientID string
	address             string // the setting that says where the endpoint is
}

// setting is what to look at if something else answers there.
func (at asked) setting() string { return cmp.Or(at.address, "the URL in the settings") }

// noAnswer is the error of a request that got no whole answer. watch may be nil.
func noAnswer(at asked, watch *netcause.Watch, err error) *TokenError {
	n := readNetwork(watch, err, at.setting())
	return &TokenError{
		Step: at.step, URL: at.url, ClientID: at.clientID,
		Err: n.err, Hint: n.cure, Temporary: !n.permanent, clientWide: n.permanent,
	}
}

// badAnswer is the error of an answer with the right status that is not the
// documented one. err never quotes it.
func badAnswer(at asked, a *answer, err error, cure string) *TokenError {
	failed := &TokenError{
		Step: at.step, URL: at.url, ClientID: at.clientID,
		StatusCode: a.status, Err: err, Hint: cure, Temporary: true,
	}
	var wrong *wrongAnswerError
	if errors.As(err, &wrong) {
		failed.Hint, failed.Temporary, failed.clientWide = wrong.cure, false, true
	}
	return failed
}

// wrongAnswerError is what parse found in an answer that trying again does not mend.
type wrongAnswerError struct{ what, cure string }

func (e *wrongAnswerError) Error() string { return e.what }

// refused is what an answer says that is a refusal.
type refused struct {
	status      int
	code        string // error
	mpCode      string
	description string // error_description, cleaned and redacted
}

// verdict is what a refusal means.
type verdict struct {
	kind       error // one of this package's Err values, or nil
	clientWide bool
	cure       string
}

// refusal is the error of an answer with another status than 200.
func refusal(at asked, a *answer, r request) *TokenError {
	failed := &TokenError{
		Step: at.step, URL: at.url, ClientID: at.clientID,
		StatusCode: a.status, Temporary: isTemporary(a.status), RetryAfter: a.retryAfter(),
		clientWide: a.status >= 300 && a.status < 400 || a.status == http.StatusNotFound || a.status == http.StatusGone,
		Hint:       statusCure(a.status),
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
		failed.Hint = "it gives no reason: something between here and the server may answer in its place"
	}
	if r.explain != nil {
		v := r.explain(refused{a.status, failed.Code, failed.MPCode, failed.Description})
		failed.Err = v.kind
		if v.cure != "" {
			failed.Hint, failed.clientWide = v.cure, v.clientWide
		}
	}
	if page := netcause.PageOf(a.status, a.header, a.body); page != nil {
		failed.Err, failed.Hint = page, page.Cure(at.setting())
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

// statusCure is what to do if only the status is known.
func statusCure(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "too many requests: the request is tried again later"
	case status >= 500:
		return "the server fails: the request is tried again later"
	case status >= 300 && status < 400:
		return "redirects of token requests are not followed: check the URL in the settings"
	case status == http.StatusNotFound:
		return "the endpoint does not exist: check the URL in the settings"
	}
	return ""
}

// quote makes a server's words fit for a log line: printable, short, and without what
// the request kept secret.
func quote(text string, secrets []string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	// Cut before it is searched, and again: redacting makes it shorter or longer.
	text = redact(cut(text, 4*maxQuote), secrets)
	return cut(text, maxQuote)
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

// dated is a remembered error with since when requests fail and when the next is due.
func dated(err error, since, retryAt time.Time) error {
	var failed *TokenError
	if !errors.As(err, &failed) {
		return err
	}
	remembered := *failed
	remembered.Since, remembered.RetryAt = since, retryAt
	return &remembered
}

// shared is an error as the callers of other tokens see it, without the server's words.
// Those may name the organisation, the person or the scope of the request that failed.
func shared(err error) error {
	var failed *TokenError
	if !errors.As(err, &failed) {
		return err
	}
	other := *failed
	other.Description, other.URI = "", ""
	return &other
}
