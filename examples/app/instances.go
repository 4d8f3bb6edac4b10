package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/provider"
)

// instances calls the API. It is what a service of your own would have in its
// place: it knows an *http.Client and nothing of tokens.
type instances struct {
	client *http.Client
	url    *url.URL
}

type instancesParams struct {
	fx.In

	Client  *http.Client `name:"altinn"`
	Koanf   *koanf.Koanf
	Origins *provider.Origins
}

func newInstances(p instancesParams) (*instances, error) {
	var mine struct {
		APIURL string `koanf:"ApiUrl"`
	}
	if err := provider.Unmarshal(p.Koanf, "ExampleApp", &mine); err != nil && !errors.Is(err, provider.ErrNoSection) {
		return nil, err
	}
	name := "ExampleApp:ApiUrl"
	if source := p.Origins.Of(name).Source; source != "" {
		name += " (" + source + ")"
	}
	if mine.APIURL == "" {
		return nil, errors.New(name + " is missing: set it to the API to call, " +
			"such as https://platform.tt02.altinn.no/storage/api/v1/instances?appId=org/app")
	}
	if what := provider.Misplaced(mine.APIURL, maxURL); what != "" {
		return nil, errors.New(name + " " + what)
	}
	u, err := url.Parse(mine.APIURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New(name + " is not the URL of an API: it begins with https:// and a host")
	}
	return &instances{client: p.Client, url: u}, nil
}

// String is the API's address without what may be secret in it.
func (i *instances) String() string {
	return (&url.URL{Scheme: i.url.Scheme, Host: i.url.Host, Path: i.url.Path}).String()
}

const (
	callTimeout = 30 * time.Second
	maxBody     = 1 << 20
	maxURL      = 2000
)

type apiAnswer struct {
	status      int
	contentType string
	body        []byte
}

// get asks the API, for no longer than ctx and callTimeout allow.
func (i *instances) get(ctx context.Context) (apiAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url.String(), nil)
	if err != nil {
		return apiAnswer{}, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		// net/http's own text quotes the URL, which may hold a secret.
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return apiAnswer{}, fmt.Errorf("GET %s: %w", i, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the answer is over %d bytes", maxBody)
	}
	if err != nil {
		return apiAnswer{}, fmt.Errorf("GET %s: %w", i, err)
	}
	return apiAnswer{resp.StatusCode, resp.Header.Get("Content-Type"), body}, nil
}
