package vaulttest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const vaultResource = "https://vault.azure.net"

// answer is what the tests below look at in an answer.
type answer struct {
	status int
	header http.Header
	body   struct {
		Value    json.RawMessage
		NextLink *string
		ID       string
		Attributes,
		Tags map[string]any
		ContentType string
		Managed     bool
		Error       json.RawMessage // an object from the vault, a string from Entra
		Description string          `json:"error_description"`
		Codes       []int           `json:"error_codes"`
		AccessToken string          `json:"access_token"`
		ExpiresIn   int             `json:"expires_in"`
	}
}

// failure is the code of the vault's error with its inner code, and its text.
func (a answer) failure() (code, message string) {
	var e struct {
		Code, Message string
		Inner         struct{ Code string } `json:"innererror"`
	}
	_ = json.Unmarshal(a.body.Error, &e)
	return strings.TrimSuffix(e.Code+"/"+e.Inner.Code, "/"), e.Message
}

// listed is an entry of a page.
type listed struct {
	ID, ContentType  string
	Attributes, Tags map[string]any
	Managed          bool
}

func (a answer) items(t *testing.T) (items []listed) {
	t.Helper()
	if err := json.Unmarshal(a.body.Value, &items); err != nil {
		t.Fatal(err)
	}
	return items
}

// get asks the vault with a good token.
func get(t *testing.T, srv *vaulttest.Server, path string) answer {
	t.Helper()
	return do(t, srv, http.MethodGet, path, srv.IssueToken(vaultResource, time.Hour), nil)
}

func do(t *testing.T, srv *vaulttest.Server, method, target, token string, form url.Values) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = srv.VaultURL() + target
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(raw, &a.body); err != nil {
		t.Fatalf("%s is not JSON: %v", raw, err)
	}
	return a
}

func newClient(t *testing.T, srv *vaulttest.Server) *azsecrets.Client {
	t.Helper()
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	options := srv.ClientOptions()
	client, err := azsecrets.NewClient(srv.VaultURL(), cred, &options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func grantForm(srv *vaulttest.Server) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {srv.ClientID()},
		"client_secret": {srv.ClientSecret()}, "scope": {vaultResource + "/.default"},
	}
}

// revoked asks for a newer token. Its question marks make the two alphabets of base64
// differ.
const revoked = `{"access_token":{"nbf":{"essential":true,"value":"1726258122?????"}}}`
