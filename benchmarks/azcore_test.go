package benchmarks

import (
	"context"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// openAzcore is azcore's bearer token policy in a pipeline of its own. It has no
// transport for other programs' requests and no way to read a token, so it takes
// part where token requests are counted, and not where requests are timed.
func openAzcore(_ testing.TB, tokens http.RoundTripper) opened {
	bearer := runtime.NewBearerTokenPolicy(azureCredential{tokens}, []string{scope}, nil)
	return opened{transport: func(base http.RoundTripper) http.RoundTripper {
		pipeline := runtime.NewPipeline("benchmarks", "v0.0.0",
			runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}},
			&policy.ClientOptions{Transport: transporter{base}})
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			wrapped, err := runtime.NewRequestFromRequest(req.Clone(req.Context()))
			if err != nil {
				return nil, err
			}
			return pipeline.Do(wrapped)
		})
	}}
}

type transporter struct{ base http.RoundTripper }

func (t transporter) Do(req *http.Request) (*http.Response, error) { return t.base.RoundTrip(req) }

type azureCredential struct{ tokens http.RoundTripper }

func (c azureCredential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := fetch(ctx, c.tokens)
	return azcore.AccessToken{Token: t.value, ExpiresOn: t.expires}, err
}
