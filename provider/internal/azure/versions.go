package azure

import (
	"context"
	"iter"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// VersionLister is a [Client] that lists the versions of a secret too.
// [azsecrets.Client] does.
type VersionLister interface {
	NewListSecretPropertiesVersionsPager(name string, options *azsecrets.ListSecretPropertiesVersionsOptions) *runtime.Pager[azsecrets.ListSecretPropertiesVersionsResponse]
}

// Versions lists a secret's versions as Pages lists the secrets. There are none of a
// secret that does not exist. The client has to be a [VersionLister].
func (s *Session) Versions(ctx context.Context, name string) iter.Seq2[[]Secret, error] {
	pages := eachPage(ctx, s,
		func() *runtime.Pager[azsecrets.ListSecretPropertiesVersionsResponse] {
			lister, ok := s.client.(VersionLister)
			if !ok {
				return nil
			}
			return lister.NewListSecretPropertiesVersionsPager(name, nil)
		},
		func(r azsecrets.ListSecretPropertiesVersionsResponse) azsecrets.SecretPropertiesListResult {
			return r.SecretPropertiesListResult
		})
	return func(yield func([]Secret, error) bool) {
		for page, err := range pages {
			if slices.ContainsFunc(page, func(v Secret) bool { return v.Version == "" }) {
				page, err = nil, errNoID // to get it would be to get the latest
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// ListsVersions reports whether the client is a [VersionLister].
func (s *Session) ListsVersions() bool {
	_, ok := s.client.(VersionLister)
	return ok
}
