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
	setting  string            // that names the endpoint
	own      tokenRequest      // the settings' own
	names    map[string]string // of settings, for errors
	log      stepLog
}

var _ upstream = (*texas)(nil)

func newTexas(s *source, settings *MaskinportenSettings, p plan, clock tokencache.Clock) *texas {
	setting := settings.name(texasSetting)
	return &texas{
		endpoint: endpoint{
			step: "token request", clientID: p.clientID, transport: s.transport, clock: clock, guards: &s.guards,
			unfit:  "something else than Texas answers: check " + setting,
			absent: "Texas is not there: check that the application's spec has maskinporten.enabled and its annotation texas.nais.io/enabled, and " + setting,
		},
		url: p.texas, setting: setting, own: p.request, log: s.log,
		names: settings.names("Scope", "Resource", "ConsumerOrgNo"),
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
func (t *texas) attempt(ctx context.Context, request tokenRequest, skipCache bool) (token *Token, err error) {
	t.log.step(ctx, "asking Texas for a Maskinporten token", slog.String("url", t.url),
		slog.String("scope", request.scope), slog.Bool("skip_cache", skipCache))
	err = t.endpoint.call(ctx, t.post(request, skipCache), func(a *answer) error {
		token, err = parseToken(a, request.scope)
		return err
	})
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
	}
}

// explain finds what a refusal means: Texas's own, or Maskinporten's, which Texas hands
// on as it is.
func (t *texas) explain(r refused, request tokenRequest) verdict {
	switch {
	case r.status == http.StatusNotFound:
		return verdict{cure: "check " + t.setting + ": Texas gives tokens at " + texasPath, clientWide: true}
	case strings.Contains(r.description, "is not enabled"):
		return verdict{cure: "set maskinporten.enabled in the application's spec, and deploy it again", clientWide: true}
	case strings.HasPrefix(r.description, "Upstream request failed"):
		return verdict{cure: "Texas does not reach Maskinporten: the request is tried again later"}
	case r.code == "server_error":
		return verdict{cure: "Texas fails, and its log tells why: the request is tried again later"}
	}
	name := naming(t.names, t.own, request)
	v := explain(r, &Key{setting: "the key that Texas holds"}, func(setting string) string {
		switch setting {
		case "ClientId":
			return "the client id that Texas holds"
		case "Environment":
			return "the issuer that Texas asks"
		}
		return name(setting)
	})
	if errors.Is(v.kind, ErrScopeNotGranted) {
		v.cure += "; the application's spec must list it under maskinporten.scopes.consumes, and a change takes up to 15 minutes"
	}
	return v
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
	return fmt.Errorf("remove %s: Texas cannot pass it on; sign with a key of your own to use it%w", name, quietly{errors.ErrUnsupported})
}

// checkTexas checks what concerns Texas in the settings. keys is what WithKeySource gave.
func (s *MaskinportenSettings) checkTexas(keys KeySource) error {
	var problems []error
	setting := s.name(texasSetting)
	if err := checkURL(s.texas); err != nil {
		problems = append(problems, fmt.Errorf("%s %w", setting, err))
	}
	given := s.keySettings()
	if keys != nil {
		given = append(given, "WithKeySource")
	}
	if len(given) > 0 {
		problems = append(problems, fmt.Errorf("remove %s, or hide %s from FromNAIS: Texas signs with a key that it holds itself", strings.Join(given, ", "), setting))
	}
	return errors.Join(problems...)
}

func (t *texas) keyEnd() time.Time { return time.Time{} }

func (t *texas) close() {}
