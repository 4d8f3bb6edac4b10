package azure

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

var (
	errNoPager   = ownError{errors.New("the client's pager is nil"), kindUnknown}
	errNoList    = ownError{errors.New("the answer holds no list of secrets, not even an empty one"), kindStranger}
	errNoID      = ownError{errors.New("the listing holds a secret without a proper id"), kindStranger}
	errOtherHost = ownError{errors.New("the listing goes on at another host, which must not get the token"), kindStranger}
	errLoop      = ownError{errors.New("the listing does not end"), kindStranger}
)

var secretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// IsSecretName reports whether a text can name a secret, by Key Vault's own rule.
func IsSecretName(text string) bool { return secretName.MatchString(text) }

// Pages lists the vault's secrets without their values, page by page. An error is
// the last thing that it yields.
func (s *Session) Pages(ctx context.Context) iter.Seq2[[]Secret, error] {
	return eachPage(ctx, s,
		func() *runtime.Pager[azsecrets.ListSecretPropertiesResponse] {
			return s.client.NewListSecretPropertiesPager(nil)
		},
		func(r azsecrets.ListSecretPropertiesResponse) azsecrets.SecretPropertiesListResult {
			return r.SecretPropertiesListResult
		})
}

// eachPage fetches what a pager of the SDK lists. resultOf is the list in an answer.
func eachPage[T any](ctx context.Context, s *Session, begin func() *runtime.Pager[T], resultOf func(T) azsecrets.SecretPropertiesListResult) iter.Seq2[[]Secret, error] {
	return func(yield func([]Secret, error) bool) {
		pager, err := await(ctx, func() (*runtime.Pager[T], error) { return begin(), nil })
		if err == nil && pager == nil {
			err = errNoPager
		}
		seen, more := map[string]bool{}, true
		for more && err == nil {
			var answer T
			answer, more, err = next(ctx, pager)
			var page []Secret
			if err == nil {
				page, err = s.page(resultOf(answer), seen)
			}
			if err == nil && !yield(page, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// next fetches a page, and reports whether there are more.
func next[T any](ctx context.Context, pager *runtime.Pager[T]) (answer T, more bool, err error) {
	type page struct {
		answer T
		more   bool
	}
	got, err := await(ctx, func() (page, error) {
		answer, err := pager.NextPage(ctx)
		return page{answer, err == nil && pager.More()}, err
	})
	if err == nil {
		err = ctx.Err()
	}
	return got.answer, got.more, err
}

// page reads a page. seen holds the links of the pages before it.
func (s *Session) page(answer azsecrets.SecretPropertiesListResult, seen map[string]bool) ([]Secret, error) {
	switch {
	case answer.Value == nil && !s.foreign:
		return nil, errNoList // the SDK takes an empty answer, null and {} for a page
	case answer.NextLink != nil:
		if err := checkLink(*answer.NextLink, s.vault, seen); err != nil {
			return nil, err
		}
	}
	s.listed = true
	page := make([]Secret, 0, len(answer.Value))
	for _, properties := range answer.Value {
		secret, err := listed(properties)
		if err != nil {
			return nil, err
		}
		page = append(page, secret)
	}
	return page, nil
}

// listed reads an item of a listing. Its id is such as
// https://my-vault.vault.azure.net/secrets/NAME; the SDK's own reading of it
// panics if it is not.
func listed(p *azsecrets.SecretProperties) (Secret, error) {
	if p == nil || p.ID == nil {
		return Secret{}, errNoID
	}
	u, err := url.Parse(string(*p.ID))
	if err != nil {
		return Secret{}, errNoID
	}
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] != "secrets" || !IsSecretName(parts[1]) {
		return Secret{}, errNoID
	}
	secret := Secret{Name: parts[1], Version: strings.Join(parts[2:], "")}
	secret.note(p.Attributes)
	return secret, nil
}

// PlainHost is a URL's host in lower case, without https's own port, which the SDK
// does not expect in a vault's address.
func PlainHost(u *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

// checkLink refuses to leave the vault's host, where the SDK would take the token
// along, and to go round in circles.
func checkLink(link, vault string, seen map[string]bool) error {
	if link == "" {
		return nil
	}
	u, err := url.Parse(link)
	relative := err == nil && u.Scheme == "" && u.Host == ""
	if vault != "" && !relative && (err != nil || u.Scheme+"://"+PlainHost(u) != vault) {
		return errOtherHost
	}
	if seen[link] || len(seen)+1 >= maxPages {
		return errLoop
	}
	seen[link] = true
	return nil
}
