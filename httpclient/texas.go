package httpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// texas asks NAIS's token service, which runs beside the program on the same machine.
// It holds the client's key, signs the assertions, and caches tokens.
// https://github.com/nais/texas
type texas struct {
	endpoint endpoint
	url      string
	own      tokenRequest      // the settings' own
	names    map[string]string // of settings, for errors
	log      stepLog
}

var _ upstream = (*texas)(nil)

func newTexas(s *source, settings *MaskinportenSettings, p plan, clock tokencache.Clock) *texas {
	setting := settings.name(texasSetting)
	names := settings.names("Scope", "Resource", "ConsumerOrgNo")
	names["ClientId"], names["Environment"] = "the client id that Texas holds", "the issuer that Texas asks"
	return &texas{
		endpoint: endpoint{
			step: "token request", clientID: p.clientID, address: setting,
			transport: s.transport, clock: clock, guards: &s.guards, audit: s.audit,
			absent: "check " + setting + ", and that the application's spec has maskinporten.enabled and the annotation texas.nais.io/enabled: Texas is not there",
		},
		url: p.texas, own: p.request, names: names, log: s.log,
	}
}

// token implements [upstream], with a few tries if a failure is temporary. Texas keeps
// a token almost to its end. If it still gives the old one, it is told to get another.
func (t *texas) token(ctx context.Context, request tokenRequest, old *Token, renew bool) (token *Token, isNew bool, err error) {
	for skipCache := renew; ; skipCache = true {
		token, err = retry(ctx, func(ctx context.Context) (*Token, error) { return t.attempt(ctx, request, skipCache) })
		if err != nil || skipCache || token.authorization() != old.authorization() {
			return token, skipCache, err
		}
	}
}

// attempt makes one token request. skipCache has Texas get a new token.
func (t *texas) attempt(ctx context.Context, request tokenRequest, skipCache bool) (*Token, error) {
	t.log.step(ctx, "asking Texas for a Maskinporten token", slog.String("url", t.url),
		slog.String("scope", showScope(request.scope)), slog.Bool("skip_cache", skipCache))
	token, err := t.endpoint.token(ctx, t.post(request, skipCache), func(a *answer) (*Token, error) { return parseToken(a, request.scope) })
	if err != nil {
		return nil, err
	}
	t.log.step(ctx, "got a Maskinporten token", slog.Any("token", token), slog.Duration("lifetime", token.life))
	return token, nil
}

// post is a token request as Texas documents it.
// https://github.com/nais/texas/blob/master/doc/openapi-spec.json
func (t *texas) post(r tokenRequest, skipCache bool) request {
	body, _ := json.Marshal(struct { // of texts and of JSON of ours, which always encode
		IdentityProvider string          `json:"identity_provider"`
		Target           string          `json:"target"`
		Resource         string          `json:"resource,omitempty"`
		Details          json.RawMessage `json:"authorization_details,omitempty"`
		SkipCache        bool            `json:"skip_cache,omitempty"`
	}{"maskinporten", r.scope, r.resource, json.RawMessage(r.details), skipCache})
	return request{
		method: http.MethodPost, url: t.url,
		header:  http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}},
		body:    string(body),
		secrets: r.secrets(),
		explain: func(refused refused) verdict { return t.explain(refused, r) },
		about:   audited{token: r},
	}
}

// explain finds what a refusal means: Texas's own, or Maskinporten's, which Texas hands
// on as it is.
func (t *texas) explain(r refused, request tokenRequest) verdict {
	name := t.naming(request)
	switch {
	case r.status == http.StatusNotFound:
		return verdict{cure: "check " + t.endpoint.address + ": Texas gives tokens at " + texasPath, clientWide: true}
	case strings.Contains(r.description, "is not enabled"):
		return verdict{cure: "set maskinporten.enabled in the application's spec, and deploy it again", clientWide: true}
	case strings.HasPrefix(r.description, "Upstream request failed"):
		return verdict{cure: "wait: Texas does not reach Maskinporten; the request is tried again later"}
	case r.code == "server_error":
		return verdict{cure: "read Texas's log, which tells why it fails; the request is tried again later"}
	case strings.Contains(r.description, "Invalid parameter value"): // not of a consumer
		return verdict{cure: "check " + name("Resource") + " and " + name("Scope") + ": a value is malformed"}
	}
	v := explain(r, hints{key: &Key{setting: "the key that Texas holds"}, scope: request.scope, details: request.details, name: name})
	if errors.Is(v.kind, ErrScopeNotGranted) {
		const inSpec = "; the application's spec must list it under maskinporten.scopes.consumes, and a change takes up to 15 minutes"
		v.cure, v.shared = v.cure+inSpec, v.shared+inSpec
	}
	return v
}

// naming implements [upstream].
func (t *texas) naming(request tokenRequest) func(setting string) string {
	return naming(t.names, t.own, request)
}

// check implements [upstream].
func (t *texas) check(r tokenRequest) error {
	if err := texasCannot(r, "ContextWithConsumerOrg"); err != nil {
		return fmt.Errorf("httpclient: %w", err)
	}
	return nil
}

// texasCannot refuses what Texas has no parameter for and would ignore: the token would
// be another one than was asked for. consumer is what named the organisation.
func texasCannot(r tokenRequest, consumer string) error {
	var name string
	switch {
	case r.consumerOrg != "":
		name = consumer
	case r.person != "":
		name = "ContextWithPerson"
	default:
		return nil
	}
	return fmt.Errorf("remove %s, or sign with a key of your own: Texas cannot pass it on%w", name, quietly{errors.ErrUnsupported})
}

// checkTexas checks what concerns Texas in the settings. keys is what WithKeySource gave.
func (s *MaskinportenSettings) checkTexas(keys KeySource) (wrong []error) {
	setting := s.name(texasSetting)
	if err := checkURL(s.texas); err != nil {
		wrong = append(wrong, fmt.Errorf("%s %w", setting, err))
	}
	var given []string
	if held := s.keysGiven(); len(held) > 0 {
		given = append(given, s.all(held))
	}
	if keys != nil {
		given = append(given, "WithKeySource")
	}
	if len(given) > 0 {
		wrong = append(wrong, fmt.Errorf("remove %s, or hide %s from FromNAIS: Texas signs with a key that it holds itself", strings.Join(given, " and "), setting))
	}
	return wrong
}

func (t *texas) key() *Key { return nil }

func (t *texas) keyEnd() time.Time { return time.Time{} }

func (t *texas) close() {}
