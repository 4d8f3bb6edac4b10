package maskinportentest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func ExampleNewServer() {
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	defer srv.Close()
	srv.Handle("GET /instances", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := maskinportentest.TokenFrom(r.Context())
		_, _ = fmt.Fprintln(w, "hello,", token.ClientID)
	}), "altinn:serviceowner/instances.read")

	// A client under test is built from the section, over the transport.
	section := srv.Section()
	client := srv.Client()
	resp, err := client.Get(section["Environment"].(string) + "instances")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()

	fmt.Println(section["ClientId"], section["Scope"])
	fmt.Println(resp.Status, resp.Header.Get("WWW-Authenticate"))
	fmt.Println(srv.Refusals())
	// Output:
	// maskinportentest-client altinn:serviceowner/instances.read
	// 401 Unauthorized Bearer realm="maskinportentest"
	// [api: 401 no bearer token]
}

// The server explains a refusal as Maskinporten does.
func ExampleServer_Refusals() {
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	defer srv.Close()

	client := srv.Client()
	resp, err := client.PostForm(srv.TokenURL(), url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"assertion":  {"not an assertion"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ Error string }
	_ = json.NewDecoder(resp.Body).Decode(&answer)

	fmt.Println(resp.Status, answer.Error)
	fmt.Println(strings.Join(srv.Refusals(), "\n"))
	fmt.Println(srv.Stats().TokenRequests, srv.Stats().Refused)
	// Output:
	// 400 Bad Request invalid_request
	// token: 400 invalid_request MP-011: Invalid assertion. Invalid parameter value. Not a compact JWS
	// 1 1
}

// Maskinporten has a bad minute: the next two token requests fail.
func ExampleServer_faults() {
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	defer srv.Close()
	srv.Faults.Add(faulttest.Fault{
		Match:  func(r *http.Request) bool { return r.URL.Path == "/token" },
		Times:  2,
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {"1"}},
	})

	client := srv.Client()
	for range 3 {
		resp, err := client.PostForm(srv.TokenURL(), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 503
	// 503
	// 400
}

// A server whose clock is ten minutes ahead, Date header included.
func ExampleWithClock() {
	ahead := func() time.Time { return time.Now().Add(10 * time.Minute) }
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()), maskinportentest.WithClock(ahead))
	defer srv.Close()

	client := srv.Client()
	resp, err := client.Get(srv.Issuer() + ".well-known/oauth-authorization-server")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	fmt.Println(time.Until(date) > 9*time.Minute, err)
	// Output:
	// true <nil>
}

// Keys are slow to make: share one among the servers of a test binary.
func ExampleNewKey() {
	k := maskinportentest.NewKey("kid-of-a-test")
	again, err := maskinportentest.ParseKey(k.EncodedJWK())
	fmt.Println(again, err)
	// Output:
	// maskinportentest.Key{KeyID:"kid-of-a-test", Algorithm:"RS256", private:REDACTED} <nil>
}

// Rotation: the old key expires, a new one is registered.
func ExampleServer_AddKey() {
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	defer srv.Close()
	fmt.Println(srv.AddKey(srv.ClientID(), other()))
	fmt.Println(srv.ExpireKey(srv.ClientID(), key().KeyID))
	fmt.Println(srv.RemoveKey(srv.ClientID(), "never-registered"))
	// Output:
	// true
	// true
	// false
}

// A client whose organisation was granted one of its two scopes.
func ExampleClient() {
	srv := maskinportentest.NewServer(maskinportentest.WithClient(maskinportentest.Client{
		ID:      "my-client",
		Scopes:  []string{"skatteetaten:read", "skatteetaten:write"},
		Granted: []string{"skatteetaten:read"},
		OrgNo:   "123456789",
		Keys:    []maskinportentest.Key{key()},
	}))
	defer srv.Close()
	fmt.Println(srv.Section()["ClientId"], srv.Section()["Scope"])
	// Output:
	// my-client skatteetaten:read skatteetaten:write
}

// A new key takes up to two minutes to work, as at Maskinporten.
func ExampleServer_AddKeyAfter() {
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	defer srv.Close()
	fmt.Println(srv.AddKeyAfter(srv.ClientID(), other(), 2*time.Minute))
	// Output:
	// true
}
