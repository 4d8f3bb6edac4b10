package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/provider"
)

// instances calls the API. It is what a service of your own would have in its
// place: it knows an *http.Client and nothing of tokens.
type instances struct {
	client *http.Client
	url    string
}

type instancesParams struct {
	fx.In

	Client *http.Client `name:"altinn"`
	Koanf  *koanf.Koanf
}

func newInstances(p instancesParams) (*instances, error) {
	section, err := provider.Section(p.Koanf, "ExampleApp")
	if err != nil && !errors.Is(err, provider.ErrNoSection) {
		return nil, err
	}
	url, _ := section["ApiUrl"].(string)
	if url == "" {
		return nil, errors.New("ExampleApp:ApiUrl is missing: set it to the API to call, " +
			"such as https://platform.tt02.altinn.no/storage/api/v1/instances?appId=org/app")
	}
	return &instances{client: p.Client, url: url}, nil
}

const (
	callTimeout = 30 * time.Second
	maxBody     = 1 << 20
)

// get asks the API, for no longer than ctx and callTimeout allow.
func (i *instances) get(ctx context.Context) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ExampleApp:ApiUrl: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, body, err
}
