package azure

import (
	"context"
	"errors"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"
)

// lister lists these ids as the versions of any secret, all on one page.
type lister struct {
	fake
	ids []string
}

func (l lister) NewListSecretPropertiesVersionsPager(string, *azsecrets.ListSecretPropertiesVersionsOptions) *runtime.Pager[azsecrets.ListSecretPropertiesVersionsResponse] {
	return runtime.NewPager(runtime.PagingHandler[azsecrets.ListSecretPropertiesVersionsResponse]{
		More: func(azsecrets.ListSecretPropertiesVersionsResponse) bool { return false },
		Fetcher: func(context.Context, *azsecrets.ListSecretPropertiesVersionsResponse) (azsecrets.ListSecretPropertiesVersionsResponse, error) {
			var answer azsecrets.ListSecretPropertiesVersionsResponse
			for _, id := range l.ids {
				answer.Value = append(answer.Value, &azsecrets.SecretProperties{ID: to.Ptr(azsecrets.ID("https://v.vault.azure.net/secrets/" + id))})
			}
			return answer, nil
		},
	})
}

func TestVersionsAreListed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		client Client
		want   []string
		err    error
		able   bool
	}{
		{"versions", lister{ids: []string{"Key/a", "Key/b"}}, []string{"a", "b"}, nil, true},
		{"nothing", lister{}, nil, nil, true},
		{"one without its version", lister{ids: []string{"Key/a", "Key"}}, nil, errNoID, true},
		{"a client that cannot", fake{}, nil, errNoPager, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := Wrap(test.client, "")
			if got := s.ListsVersions(); got != test.able {
				t.Errorf("lists versions: got %v, want %v", got, test.able)
			}
			var got []string
			var failed error
			for page, err := range s.Versions(t.Context(), "Key") {
				failed = err
				for _, secret := range page {
					got = append(got, secret.Version)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(failed, test.err) || (failed != nil) != (test.err != nil) {
				t.Errorf("got %v, want %v (-want +got):\n%s", failed, test.err, diff)
			}
		})
	}
}
