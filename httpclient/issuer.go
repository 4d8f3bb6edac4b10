package httpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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

	fixed  bool          // known is final
	turn   chan struct{} // holds one element; owning it guards what follows
	known  endpoints
	next   instant // when to look again
	looked bool    // there was a look-up
	wrong  error   // metadata that must not be used, while nothing better is known
	busy   bool    // a look-up is under way in the background
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
// waits, and later in the background. A failed look-up keeps what is known.
// Metadata that names another issuer, and would have assertions made for somebody
// else, is an error until it is mended, or a warning where better is known.
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
	switch {
	case i.busy || !i.next.reached(i.clock()):
	case i.looked:
		i.busy = i.background.run(true, i.refresh) == nil
	default:
		i.settle(ctx, i.lookUp(ctx, i.known.issuer))
	}
	return i.known, i.wrong
}

// refresh looks the issuer up while others go on with what is known.
func (i *issuer) refresh(ctx context.Context) {
	found := lookedUp{err: errNoResult} // where a transport of the program's ends the goroutine
	defer func() {
		i.turn <- struct{}{}
		defer func() { <-i.turn }()
		i.busy = false
		i.settle(ctx, found)
	}()
	found = i.lookUp(ctx, i.known.issuer)
}

// lookedUp is the result of a look-up.
type lookedUp struct {
	endpoints endpoints
	err       error
}

// settle takes a look-up's result.
func (i *issuer) settle(ctx context.Context, found lookedUp) {
	now := i.clock()
	first := !i.looked
	i.looked = true
	if found.err == nil {
		i.known, i.wrong, i.next = found.endpoints, nil, now.add(metadataLife)
		return
	}
	i.next = now.add(metadataRetry)
	attrs := []slog.Attr{
		slog.String("issuer", i.known.issuer), slog.String("token_endpoint", i.known.token), slog.String("error", found.err.Error()),
	}
	var wrong *TokenError
	switch {
	case !errors.As(found.err, &wrong):
		i.log.step(ctx, "no metadata from the issuer; using what is known", attrs...)
	case first || i.wrong != nil:
		i.wrong = wrong // nothing better is known
	default:
		i.log.warn(ctx, "the issuer's metadata must not be used; using what was known before", attrs...)
	}
}

// lookUp asks for the metadata below the issuer, as Maskinporten has it, and where
// it is not there, and the issuer has a path, as RFC 8414 section 3.1 has it.
func (i *issuer) lookUp(ctx context.Context, issuer string) lookedUp {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	found, err := i.ask(ctx, issuer, issuerOf(issuer)+metadataPath)
	u, _ := url.Parse(issuer) // it was checked
	if path := strings.Trim(u.Path, "/"); errors.Is(err, errNoMetadata) && path != "" {
		found, err = i.ask(ctx, issuer, u.Scheme+"://"+u.Host+"/"+metadataPath+"/"+path)
	}
	return lookedUp{found, err}
}

var errNoMetadata = errors.New("there is no metadata")

func (i *issuer) ask(ctx context.Context, issuer, address string) (endpoints, error) {
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
		return endpoints{}, fmt.Errorf("%w: status %d", errNoMetadata, a.status)
	}
	var fields struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if json.Unmarshal(a.body, &fields) != nil || fields.Issuer == "" || fields.TokenEndpoint == "" {
		return endpoints{}, errors.New("the answer is not an issuer's metadata")
	}
	failed := &TokenError{Step: "issuer metadata", URL: address, StatusCode: a.status, wide: true}
	if issuerOf(fields.Issuer) != issuerOf(issuer) {
		failed.Err = errors.New("the metadata is of another issuer")
		failed.Hint = "set Environment or Authority to the issuer exactly as its metadata spells it"
		return endpoints{}, failed
	}
	if checkURL(fields.TokenEndpoint) != nil {
		failed.Err = errors.New("its token_endpoint is not an https URL without a query")
		failed.Hint = "ask the issuer's owner to correct the metadata"
		return endpoints{}, failed
	}
	return endpoints{issuer: fields.Issuer, token: fields.TokenEndpoint}, nil
}
