package httpclient

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// issuer knows where an issuer's token endpoint is. Maskinporten's own need no
// look-up. Another's comes from its metadata (RFC 8414), which is looked up at the
// first token request and then once a day. One without metadata gets {issuer}token.
type issuer struct {
	endpoint endpoint
	log      stepLog
	guess    endpoints // without metadata
	fixed    bool      // the guess is right
	cache    *tokencache.Cache[string, endpoints]
}

type endpoints struct {
	issuer string // for the assertion's aud, as the metadata spells it
	token  string // URL
}

// The paths of metadata, in the order in which lookUp asks for them. Skyporten
// documents the second only.
const (
	metadataPath       = ".well-known/oauth-authorization-server"
	openIDMetadataPath = ".well-known/openid-configuration"
)

func newIssuer(env environment, metadata endpoint, log stepLog) *issuer {
	i := &issuer{
		endpoint: metadata, log: log,
		guess: endpoints{issuer: env.issuer, token: env.tokenEndpoint},
		fixed: env.name != "" || env.tokenEndpoint != "",
	}
	if i.guess.token == "" {
		i.guess.token = env.issuer + "token"
	}
	i.cache = tokencache.New(env.issuer, tokencache.Config[string, endpoints]{
		Fetch: i.fetch, Classify: classify, Dated: dated, Clock: metadata.clock, Size: 1,
		Kept: func(_ string, known endpoints, err error) {
			i.log.warn(context.Background(), "the issuer's metadata must not be used; using what was known before",
				slog.String("issuer", known.issuer), slog.String("token_endpoint", known.token), slog.String("error", problems.OneLine(err)))
		},
	})
	return i
}

// endpoints gives what is known of the issuer. Only the first caller waits for a
// look-up; a later one that fails keeps what is known. Metadata that names another
// issuer would have assertions made for somebody else: it is an error.
func (i *issuer) endpoints(ctx context.Context) (endpoints, error) {
	if i.fixed {
		return i.guess, nil
	}
	found, _, err := i.cache.Pinned().Get(ctx)
	return found, err
}

func (i *issuer) close() { i.cache.Close() }

// fetch looks the issuer up for the cache.
func (i *issuer) fetch(ctx context.Context, _ string, _ endpoints, _ bool) (endpoints, tokencache.Life, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	start := i.endpoint.clock()
	found, err := i.lookUp(ctx)
	var failed *TokenError
	switch {
	case err == nil:
		return found, tokencache.Life{Refresh: start.Add(metadataLife), End: start.Add(metadataEnd)}, nil
	case errors.As(err, &failed) && isWrongMetadata(failed):
		return found, tokencache.Life{}, err
	}
	// There is no metadata, or it could not be read. The guess lives shortly, so that it
	// does not replace metadata that is known.
	i.log.step(ctx, "no metadata from the issuer; using what is known",
		slog.String("issuer", i.guess.issuer), slog.String("token_endpoint", i.guess.token), slog.String("error", problems.OneLine(err)))
	return i.guess, tokencache.Life{Refresh: start.Add(metadataRetry), End: start.Add(metadataLife)}, nil
}

// lookUp asks for the metadata below the issuer, as Maskinporten has it. If it is not
// there and the issuer has a path, lookUp asks as RFC 8414 section 3.1 has it.
func (i *issuer) lookUp(ctx context.Context) (found endpoints, err error) {
	for _, address := range metadataAddresses(i.guess.issuer) {
		found, err = i.ask(ctx, address)
		var failed *TokenError
		if !errors.As(err, &failed) || failed.StatusCode == 0 || isWrongMetadata(failed) {
			return found, err // the others would fare no better
		}
	}
	return found, err
}

// isWrongMetadata reports whether there is metadata that must not be used.
func isWrongMetadata(failed *TokenError) bool {
	var wrong *wrongAnswerError
	return errors.As(failed.Err, &wrong)
}

func metadataAddresses(issuer string) []string {
	u, _ := url.Parse(issuer) // it was checked
	path := strings.Trim(u.Path, "/")
	var addresses []string
	for _, p := range []string{metadataPath, openIDMetadataPath} {
		addresses = append(addresses, issuer+p)
		if path != "" {
			addresses = append(addresses, u.Scheme+"://"+u.Host+"/"+p+"/"+path)
		}
	}
	return addresses
}

func (i *issuer) ask(ctx context.Context, address string) (found endpoints, err error) {
	r := request{method: http.MethodGet, url: address, header: http.Header{"Accept": {"application/json"}}}
	err = i.endpoint.call(ctx, r, func(a *answer) error {
		found, err = parseMetadata(a.body, i.guess.issuer)
		return err
	})
	return found, err
}

// parseMetadata reads the metadata of the given issuer. Its errors never quote it.
func parseMetadata(body []byte, issuer string) (endpoints, error) {
	var fields struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if json.Unmarshal(body, &fields) != nil || fields.Issuer == "" || fields.TokenEndpoint == "" {
		return endpoints{}, errors.New("the answer is not an issuer's metadata")
	}
	if issuerOf(fields.Issuer) != issuerOf(issuer) {
		return endpoints{}, &wrongAnswerError{
			"the metadata is of another issuer",
			"it must be the issuer exactly as its metadata spells it",
		}
	}
	// Plain http is for an issuer that itself is one on this machine.
	if checkURL(fields.TokenEndpoint) != nil || isHTTPS(issuer) && !isHTTPS(fields.TokenEndpoint) {
		return endpoints{}, &wrongAnswerError{
			"its token_endpoint is not an https URL without a query",
			"ask the issuer's owner to correct its metadata",
		}
	}
	return endpoints{issuer: fields.Issuer, token: fields.TokenEndpoint}, nil
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https"
}
