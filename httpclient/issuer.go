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
)

// issuer knows where an issuer's token endpoint is. Maskinporten's own need no
// look-up; another's comes from its metadata (RFC 8414), fetched at the first
// token request and then rarely. One without metadata gets {issuer}token.
type issuer struct {
	client *http.Client
	clock  clock
	log    stepLog

	fixed bool          // known is final
	turn  chan struct{} // holds one element; owning it guards what follows
	known endpoints
	next  instant // when to look again
	found bool    // known comes from metadata
}

type endpoints struct {
	issuer string // for the assertion's aud
	token  string // URL
}

const (
	metadataPath    = ".well-known/oauth-authorization-server"
	metadataTimeout = 4 * time.Second
	metadataLife    = 24 * time.Hour
	metadataRetry   = time.Minute
)

func newIssuer(env environment, client *http.Client, clock clock, log stepLog) *issuer {
	return &issuer{
		client: client, clock: clock, log: log,
		fixed: env.name != "",
		turn:  make(chan struct{}, 1),
		known: endpoints{issuer: env.issuer, token: env.issuer + "token"},
		next:  clock(),
	}
}

// endpoints looks the issuer up when it is time to. A failed look-up keeps what
// is known; metadata that names another issuer is an error, because it would
// have assertions made for somebody else.
func (i *issuer) endpoints(ctx context.Context) (endpoints, error) {
	if i.fixed {
		return i.known, nil
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return endpoints{}, fmt.Errorf("httpclient: waiting for the issuer's metadata: %w", context.Cause(ctx))
	}
	now := i.clock()
	if !i.next.reached(now) {
		return i.known, nil
	}
	found, err := i.lookUp(ctx)
	var wrong *TokenError
	switch {
	case err == nil:
		i.known, i.found, i.next = found, true, now.add(metadataLife)
	case errors.As(err, &wrong) && !i.found:
		return endpoints{}, err
	default:
		i.next = now.add(metadataRetry)
		i.log.step(ctx, "no metadata from the issuer; using what is known",
			slog.String("issuer", i.known.issuer), slog.String("token_endpoint", i.known.token), slog.String("error", err.Error()))
	}
	return i.known, nil
}

func (i *issuer) lookUp(ctx context.Context) (endpoints, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	address := i.known.issuer + metadataPath
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return endpoints{}, fmt.Errorf("httpclient: issuer metadata: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	a, err := send(ctx, i.client, req)
	if err != nil {
		return endpoints{}, err
	}
	if a.status != http.StatusOK {
		return endpoints{}, fmt.Errorf("status %d", a.status)
	}
	var fields struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if json.Unmarshal(a.body, &fields) != nil || fields.Issuer == "" || fields.TokenEndpoint == "" {
		return endpoints{}, errors.New("the answer is not an issuer's metadata")
	}
	failed := &TokenError{Step: "issuer metadata", URL: address, StatusCode: a.status}
	if strings.TrimSuffix(fields.Issuer, "/") != strings.TrimSuffix(i.known.issuer, "/") {
		failed.Err = fmt.Errorf("the metadata is of another issuer, %s", quote(fields.Issuer, ""))
		failed.Hint = "set Environment or Authority to the issuer exactly as its metadata spells it"
		return endpoints{}, failed
	}
	if err := checkURL(fields.TokenEndpoint); err != nil {
		failed.Err = fmt.Errorf("its token_endpoint %w", err)
		failed.Hint = "ask the issuer's owner to correct the metadata"
		return endpoints{}, failed
	}
	return endpoints{issuer: fields.Issuer, token: fields.TokenEndpoint}, nil
}
