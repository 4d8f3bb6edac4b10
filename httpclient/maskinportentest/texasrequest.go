package maskinportentest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// texasRequest is a token request as Texas understands it.
type texasRequest struct {
	target, provider string
	resource         *string
	details          []any // of maps
	skipCache        bool
}

// key is what Texas caches a token by: all but skip_cache.
func (r texasRequest) key() string {
	raw, _ := json.Marshal([]any{r.target, r.provider, r.resource, r.details}) // decoded JSON always encodes
	return string(raw)
}

// texasParameters are all that Texas knows, in its order, and the providers that it
// knows.
const (
	texasParameters = "`target`, `identity_provider`, `resource`, `authorization_details`, `skip_cache`"
	texasProviders  = "`azuread`, `entra_id`, `tokenx`, `maskinporten`, `idporten`"
)

// readTexasRequest takes a request that is exactly as documented.
func readTexasRequest(r *http.Request) (texasRequest, *texasRefusal) {
	contentType := r.Header.Get("Content-Type")
	isJSON := strings.HasPrefix(contentType, "application/json")
	switch {
	case r.Method != http.MethodPost:
		return texasRequest{}, &texasRefusal{http.StatusMethodNotAllowed, "invalid_request", "the method must be POST"}
	case !isJSON && !strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		return texasRequest{}, notUnderstood("unsupported media type: %s: expected one of `application/json`, `application/x-www-form-urlencoded`", contentType)
	case r.URL.RawQuery != "" || r.URL.ForceQuery:
		return texasRequest{}, notUnderstood("the URL must have no query")
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		if len(r.Header.Values(name)) > 0 {
			return texasRequest{}, notUnderstood("the header %s must be absent", name)
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return texasRequest{}, notUnderstood("Failed to buffer the request body")
	}
	if isJSON {
		members, err := decodeObject(body)
		switch {
		case errors.Is(err, errRepeated):
			return texasRequest{}, notUnderstood("Failed to deserialize the JSON body into the target type: duplicate field")
		case err != nil:
			return texasRequest{}, notUnderstood("Failed to parse the request body as JSON")
		}
		return texasParameterValues(members, "Failed to deserialize the JSON body into the target type: ")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return texasRequest{}, notUnderstood("Failed to deserialize form body")
	}
	const prefix = "Failed to deserialize form body: "
	members := map[string]any{}
	for name, values := range form {
		if len(values) > 1 {
			return texasRequest{}, notUnderstood(prefix + "duplicate field")
		}
		members[name] = values[0]
	}
	if text, ok := members["skip_cache"].(string); ok && (text == "true" || text == "false") {
		members["skip_cache"] = text == "true"
	}
	return texasParameterValues(members, prefix)
}

// texasParameterValues reads the parameters. Null is as good as left out.
func texasParameterValues(members map[string]any, prefix string) (r texasRequest, bad *texasRefusal) {
	maps.DeleteFunc(members, func(name string, v any) bool { return v == nil && name != "target" && name != "identity_provider" })
	for _, name := range slices.Sorted(maps.Keys(members)) {
		v := members[name]
		var ok bool
		switch name {
		case "target":
			r.target, ok = v.(string)
		case "identity_provider":
			r.provider, ok = v.(string)
		case "resource":
			var resource string
			resource, ok = v.(string)
			r.resource = &resource
		case "authorization_details":
			if r.details, ok = texasDetails(v); !ok {
				return r, notUnderstood("%sauthorization_details: data did not match any variant of untagged enum RequestValue", prefix)
			}
		case "skip_cache":
			r.skipCache, ok = v.(bool)
		default:
			return r, notUnderstood("%sunknown field `%.40s`, expected one of %s", prefix, name, texasParameters)
		}
		if !ok {
			return r, notUnderstood("%s%s: invalid type", prefix, name)
		}
	}
	for _, name := range []string{"target", "identity_provider"} {
		if _, given := members[name]; !given {
			return r, notUnderstood("%smissing field `%s`", prefix, name)
		}
	}
	if !strings.Contains(texasProviders, "`"+r.provider+"`") {
		return r, notUnderstood("%sidentity_provider: unknown variant `%.40s`, expected one of %s", prefix, r.provider, texasProviders)
	}
	return r, nil
}

// texasDetails reads an array of objects, or a text that holds its JSON.
func texasDetails(v any) ([]any, bool) {
	if text, ok := v.(string); ok {
		members, err := decodeObject([]byte(`{"details":` + text + `}`))
		if err != nil || len(members) != 1 {
			return nil, false
		}
		v = members["details"]
	}
	list, ok := v.([]any)
	for _, detail := range list {
		_, isObject := detail.(map[string]any)
		ok = ok && isObject
	}
	return list, ok
}

// ask gets a token from Maskinporten.
func (t *Texas) ask(ctx context.Context, r texasRequest) (cachedToken, *texasRefusal) {
	assertion, ok := t.sign(r)
	if !ok {
		return cachedToken{}, texasFails("Failed to sign assertion")
	}
	form := url.Values{"grant_type": {grantType}, "assertion": {assertion}}
	start := t.behind.now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.behind.TokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		return cachedToken{}, texasFails("Upstream request failed: builder error")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := t.behind.Transport().RoundTrip(req)
	if err != nil {
		return cachedToken{}, texasFails("Upstream request failed: error sending request for url (%s)", t.behind.TokenURL())
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Token       string `json:"access_token"`
		Type        string `json:"token_type"`
		Life        int64  `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxForm)).Decode(&answer)
	refused := resp.StatusCode >= http.StatusBadRequest
	switch {
	case err != nil, refused && answer.Error == "", !refused && (answer.Token == "" || answer.Type != "Bearer"):
		return cachedToken{}, texasFails("Failed to parse JSON: error decoding response body")
	case refused:
		return cachedToken{}, &texasRefusal{resp.StatusCode, answer.Error, answer.Description}
	}
	life := time.Duration(answer.Life) * time.Second
	end, leeway := start.Add(life), texasLeeway
	if life <= leeway {
		leeway = life / 2
	}
	return cachedToken{func() string { return answer.Token }, end, end.Add(-leeway)}, nil
}

// sign makes an assertion of a request, by the server's clock.
func (t *Texas) sign(r texasRequest) (string, bool) {
	key, now := t.behind.Key(), t.behind.now().Unix()
	if key.private == nil {
		return "", false
	}
	alg := key.Algorithm
	if alg == "" {
		alg = "RS256"
	}
	claims := map[string]any{
		"aud": t.behind.Issuer(), "iss": t.behind.ClientID(), "iat": now, "exp": now + 30, "jti": randomText(), "scope": r.target,
	}
	if r.resource != nil {
		claims["resource"] = *r.resource
	}
	if r.details != nil {
		claims["authorization_details"] = r.details
	}
	// Texts, numbers and decoded JSON always encode.
	header, _ := json.Marshal(map[string]string{"alg": alg, "kid": key.KeyID, "typ": "JWT"})
	payload, _ := json.Marshal(claims)
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	hash := hashes[alg]
	digest := hash.New()
	digest.Write([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.private, hash, digest.Sum(nil))
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), err == nil
}
