package httpclient

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/internal/problems"
)

// WithAuditLog writes a record about each token request to logger. Digdir requires that
// the consumers of Maskinporten log their token requests: this is the log to keep for it.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_checklist
//
// Without this option the setting EnableAuditLog writes the same records to the logger of
// [WithLogger].
//
// Each request that was made for a token is one record: every retry, each exchange to an
// Altinn token, and those that no server answered. A token from the cache is none. The
// message is always "httpclient: token request", the level Info. The records are handed
// over even if the handler is not enabled for that level. These are the attributes; one
// that does not apply is left out:
//
//	outcome          received, refused, unusable_answer or no_answer
//	client_id        the Maskinporten client
//	exchange         whether an Altinn token was asked for
//	url              the endpoint
//	key_id           the id of the key that signed
//	certificate      true if an enterprise certificate identifies the key
//	jti              the assertion's id, different for each request
//	scope            what was asked for
//	resource         likewise
//	consumer_org     likewise
//	system_user_org  the system user's organisation
//	system_user_ref  its external reference
//	person_named     true if a person was named; never who
//	consent_named    true if a consent was named; never which, nor who gave it
//	scope_granted    what the token is for, as the server says
//	expires          when the token ends
//	status           the HTTP status of an answer without a usable token
//	error_code       the server's error, such as invalid_grant
//	mp_code          Maskinporten's own code, such as MP-100
//	trace_id         what Digdir's support asks for
//	error            why there is no usable answer
//
// No record holds a token, an assertion, a key or the server's own words.
//
// Nothing waits for the handler, except [TokenSource.Close], which waits 5 seconds.
// Records are handed over one by one and in their order, and 10,000 of them may wait. No
// record is lost in silence. One that the handler does not take goes to the logger of
// [WithLogger] at level Error, whole: the handler failed or panicked, it is slower than
// that, or it still hangs at Close. If that logger is too slow as well, it tells how many
// records it lost. A handler that hangs for a minute is reported there, too.
func WithAuditLog(logger *slog.Logger) Option {
	return func(o *options) { o.audit = logger }
}

// audit writes the audit log. Nil writes nothing.
type audit struct {
	queue    *logQueue
	clientID string
}

// newAudit is the audit log that the options or the setting ask for.
func newAudit(o options, enabled bool, clientID string, log stepLog) *audit {
	handler := log.queue.handler
	switch {
	case o.audit != nil:
		handler = o.audit.Handler()
	case !enabled:
		return nil
	}
	return &audit{queue: &logQueue{handler: handler, most: maxAudited, spare: &log}, clientID: clientID}
}

// close waits for the handler. The records that it has not taken then go to the spare
// log: the program may end.
func (a *audit) close() {
	if a == nil {
		return
	}
	a.queue.wait()
	for _, r := range a.queue.rest() {
		a.queue.save(r, "hangs")
	}
}

// audited is what an audit record tells of a request. The zero value is a request that
// is not for a token.
type audited struct {
	token    tokenRequest // what was asked for
	exchange bool
	key      *Key // nil: the upstream has it
	jti      string
}

const auditMessage = "token request"

// record writes the record of a request for a token.
func (a *audit) record(ctx context.Context, r request, token *Token, err error) {
	if a == nil {
		return
	}
	var attrs []slog.Attr
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	flag := func(name string, set bool) {
		if set {
			attrs = append(attrs, slog.Bool(name, true))
		}
	}
	var failed *TokenError
	errors.As(err, &failed)
	add("outcome", outcome(failed, err))
	add("client_id", a.clientID)
	attrs = append(attrs, slog.Bool("exchange", r.about.exchange))
	add("url", r.url)
	if key := r.about.key; key != nil {
		add("key_id", key.kid)
		flag("certificate", len(key.chain) > 0)
	}
	add("jti", r.about.jti)
	asked := r.about.token
	user, isConsent := asked.named()
	add("scope", asked.shownScope())
	add("resource", asked.shownResource())
	add("consumer_org", asked.consumerOrg)
	add("system_user_org", user.OrgNo)
	add("system_user_ref", user.ExternalRef)
	flag("person_named", asked.person != "")
	flag("consent_named", isConsent)
	if token != nil {
		add("scope_granted", shownGrant(token, asked, r.secrets))
		attrs = append(attrs, slog.Time("expires", token.Expires().UTC()))
	}
	if failed != nil {
		failed = failed.withoutWords()
		if failed.StatusCode != 0 {
			attrs = append(attrs, slog.Int("status", failed.StatusCode))
		}
		add("error_code", failed.Code)
		add("mp_code", failed.MPCode)
		add("trace_id", failed.TraceID)
		if !isSentinel(failed.Err) {
			add("error", problems.OneLine(failed.Err))
		}
	}
	a.queue.add(ctx, slog.LevelInfo, auditMessage, attrs)
}

// shownGrant is what a token is for, as the server says: the scopes that were asked for,
// and others that look like scopes.
func shownGrant(token *Token, asked tokenRequest, secrets []string) string {
	granted := redact(cut(token.scope, maxScopes), append([]string{token.AccessToken()}, secrets...))
	known := strings.Fields(asked.scope)
	return showScopes(granted, func(scope string) bool { return scopeText.MatchString(scope) || slices.Contains(known, scope) })
}

// outcome is what became of a request.
func outcome(failed *TokenError, err error) string {
	switch {
	case err == nil:
		return "received"
	case failed == nil || failed.StatusCode == 0:
		return "no_answer"
	case failed.StatusCode == http.StatusOK:
		return "unusable_answer"
	}
	return "refused"
}
