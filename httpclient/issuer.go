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

	background *background

	fixed bool          // known is final
	turn  chan struct{} // holds one element; owning it guards what follows
	known endpoints
	next  instant // when to look again
	found bool    // known comes from metadata
	busy  bool    // a look-up is under way in the background
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

func newIssuer(env environment, client *http.Client, clock clock, log stepLog, background *background) *issuer {
	i := &issuer{
		client: client, clock: clock, log: log, background: background,
		fixed: env.name != "" || env.tokenEndpoint != "",
		turn:  make(chan struct{}, 1),
		known: endpoints{issuer: env.issuer, token: env.tokenEndpoint},
		next:  clock(),
	}
	if i.known.token == "" {
		i.known.token = env.issuer + "token"
	}
	return i
}

// endpoints looks the issuer up when it is time to: at first while the caller
// waits, and later in the background. A failed look-up keeps what is known;
// metadata that names another issuer is an error at first, because it would have
// assertions made for somebody else.
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
	if i.busy || !i.next.reached(i.clock()) {
		return i.known, nil
	}
	if i.found {
		i.busy = i.background.run(i.refresh) == nil
		return i.known, nil
	}
	found, err := i.lookUp(ctx, i.known.issuer)
	var wrong *TokenError
	if errors.As(err, &wrong) {
		return endpoints{}, err
	}
	i.settle(ctx, found, err)
	return i.known, nil
}

// refresh looks the issuer up while others go on with what is known.
func (i *issuer) refresh(ctx context.Context) {
	found, err := i.lookUp(ctx, i.known.issuer)
	i.turn <- struct{}{}
	defer func() { <-i.turn }()
	i.busy = false
	i.settle(ctx, found, err)
}

// settle takes a look-up's result.
func (i *issuer) settle(ctx context.Context, found endpoints, err error) {
	now := i.clock()
	if err == nil {
		i.known, i.found, i.next = found, true, now.add(metadataLife)
		return
	}
	i.next = now.add(metadataRetry)
	i.log.step(ctx, "no metadata from the issuer; using what is known",
		slog.String("issuer", i.known.issuer), slog.String("token_endpoint", i.known.token), slog.String("error", err.Error()))
}

func (i *issuer) lookUp(ctx context.Context, issuer string) (endpoints, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	address := strings.TrimSuffix(issuer, "/") + "/" + metadataPath
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
	if strings.TrimSuffix(fields.Issuer, "/") != strings.TrimSuffix(issuer, "/") {
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
