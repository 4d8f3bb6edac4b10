package azure

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var errChallenge = ownError{errors.New("the answer's challenge is not one of Key Vault's"), kindChallenge}

// readChallenge refuses a challenge that the SDK must not act on, and finds the
// vault's tenant in one that is sound: a GUID, or "" if it is not one. It reads the
// challenge as the SDK does (keyvault/internal, updateTokenRequestOptions). The SDK
// has three weaknesses here:
//
//   - it looks for a tenant in the authorization without checking that there is one,
//     and panics;
//   - it takes a resource without a host for one that every host with a trailing
//     dot belongs to;
//   - it asks for a token for a resource over plain http.
func readChallenge(resp *http.Response) (tenant string, sound bool) {
	header := resp.Header.Get("WWW-Authenticate")
	if resp.StatusCode != http.StatusUnauthorized || header == "" || asksForClaims(resp) {
		return "", true
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(strings.ReplaceAll(header, "Bearer ", ""), " ") {
		if name, value, ok := strings.Cut(part, "="); ok && !strings.Contains(value, "=") {
			values[name] = strings.TrimSuffix(strings.ReplaceAll(value, `"`, ""), ",")
		}
	}
	// As in https://login.microsoftonline.com/TENANT.
	authority := strings.Split(values["authorization"], "/")
	if len(authority) < 4 || strings.ReplaceAll(authority[3], ",", "") == "" {
		return "", false
	}
	if guid.MatchString(authority[3]) {
		tenant = strings.ToLower(authority[3])
	}
	resource, ok := values["scope"]
	if !ok {
		resource = values["resource"]
	}
	u, err := url.Parse(resource)
	return tenant, err == nil && u.Scheme == "https" && u.Host != ""
}

var (
	challengePattern = regexp.MustCompile(`(\w+) ((?:\w+="[^"]*",?\s*)+)`)
	challengeParam   = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// asksForClaims reports whether the answer is a claims challenge. The SDK answers
// it with a new token for the resource that it knows already. It reads nothing else
// of it. The patterns are those of azcore's parseCAEChallenge.
func asksForClaims(resp *http.Response) bool {
	for _, header := range resp.Header.Values("WWW-Authenticate") {
		for _, challenge := range challengePattern.FindAllStringSubmatch(header, -1) {
			params := map[string]string{}
			for _, param := range challengeParam.FindAllStringSubmatch(challenge[2], -1) {
				params[param[1]] = param[2]
			}
			if challenge[1] == "Bearer" && params["error"] == "insufficient_claims" && params["claims"] != "" {
				_, err := base64.StdEncoding.DecodeString(params["claims"])
				return err == nil
			}
		}
	}
	return false
}
