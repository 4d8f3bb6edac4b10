package httpclient_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/roundtrip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const scope = "altinn:serviceowner/instances.read"

// keyFile reads a key of testdata/keys.
func keyFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// withKey registers a key on the double in place of the usual one.
func withKey(key maskinportentest.Key) maskinportentest.Option { return maskinportentest.WithKey(key) }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// clientKey is the usual key of the tests, as the double knows it.
func clientKey(t testing.TB) maskinportentest.Key {
	t.Helper()
	key, err := maskinportentest.ParseKey(encoded(keyFile(t, "client.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newDouble starts Maskinporten behind TLS, with an API at /api that answers
// with the request's body.
func newDouble(t testing.TB, opts ...maskinportentest.Option) *maskinportentest.Server {
	t.Helper()
	srv := maskinportentest.NewServer(append([]maskinportentest.Option{maskinportentest.WithKey(clientKey(t))}, opts...)...)
	t.Cleanup(srv.Close)
	srv.Handle("/api", http.HandlerFunc(echo), scope)
	return srv
}

// newPipe is newDouble for synctest bubbles: the caller closes it.
func newPipe(t testing.TB, opts ...maskinportentest.Option) *maskinportentest.Server {
	t.Helper()
	srv := maskinportentest.NewPipe(append([]maskinportentest.Option{maskinportentest.WithKey(clientKey(t))}, opts...)...)
	srv.Handle("/api", http.HandlerFunc(echo), scope)
	return srv
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "hello %s", body)
}

// settingsOf are the double's settings, with changes.
func settingsOf(t testing.TB, srv *maskinportentest.Server, changes map[string]any) httpclient.MaskinportenSettings {
	t.Helper()
	section := srv.Section()
	for key, value := range changes {
		section[key] = value
	}
	settings, err := httpclient.ParseSettings(section)
	if warnings := httpclient.Warnings(settings); err != nil || len(warnings) > 0 {
		t.Fatalf("got error %v and warnings %q, want settings without either", err, warnings)
	}
	return settings
}

// sourceOf makes a source that reaches the double; changes are settings.
func sourceOf(t testing.TB, srv *maskinportentest.Server, changes map[string]any, opts ...httpclient.Option) *httpclient.TokenSource {
	t.Helper()
	opts = append([]httpclient.Option{
		httpclient.WithTokenTransport(srv.Transport()),
		httpclient.WithBaseTransport(srv.Transport()),
		httpclient.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	source, err := httpclient.NewTokenSource(settingsOf(t, srv, changes), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

// claimsOf reads the assertion of a token request, and leaves the request as it was.
func claimsOf(t testing.TB, r *http.Request) map[string]any {
	t.Helper()
	return assertionPart(t, r, 1)
}

// assertionPart reads the header or the payload of the assertion.
func assertionPart(t testing.TB, r *http.Request, part int) map[string]any {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	parts := strings.Split(form.Get("assertion"), ".")
	if len(parts) != 3 {
		return nil
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[part])
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Error(err)
	}
	return members
}

// payload reads the claims of a token that is a JWT.
func payload(t testing.TB, token *httpclient.Token) map[string]any {
	t.Helper()
	parts := strings.Split(token.AccessToken(), ".")
	if len(parts) != 3 {
		t.Fatalf("got a token of %d parts, want a JWT", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// read returns a response's status and body, and closes it.
func read(t testing.TB, resp *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func get(t testing.TB, client *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	return read(t, resp, err)
}

// pass lets a synctest bubble's clock run for d.
func pass(d time.Duration) { <-time.After(d) }

// logs collects what a logger printed.
type logs struct{ logtest.Buffer }

func (l *logs) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// prints is everything that printing v can show, by every verb, logger and encoder.
func prints(v any) string {
	var b bytes.Buffer
	wrapped := "wrapped: %w" // not a constant: vet knows that it is the wrong verb
	for _, verb := range "vsqxXdobcUtTeEfFgGwp" {
		fmt.Fprintf(&b, "%"+string(verb)+"\n", v)
		fmt.Fprintf(&b, "%+"+string(verb)+"\n", v)
		fmt.Fprintf(&b, "%#"+string(verb)+"\n", v)
	}
	fmt.Fprintln(&b, fmt.Errorf(wrapped, v))
	fmt.Fprintln(&b, v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("printed", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("printed", "v", v)
	encoded, err := json.Marshal(v)
	fmt.Fprintf(&b, "%s %v\n", encoded, err)
	encoded, err = xml.Marshal(v)
	fmt.Fprintf(&b, "%s %v\n", encoded, err)
	fmt.Fprintln(&b, gob.NewEncoder(&b).Encode(v))
	return b.String()
}

// epoch is when a bubble's clock begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// authority is a certificate with its key, for tests only.
type authority struct {
	cert *x509.Certificate
	key  any
}

// enterprise is a chain root, middle, leaf; the leaf's key is the tests' own.
func enterprise(t testing.TB, from, to time.Time) (leaf authority, authorities []*x509.Certificate) {
	t.Helper()
	long := time.Now().Add(24 * 365 * time.Hour)
	rootKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	middleKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leafKey := clientKey(t).Signer().(*rsa.PrivateKey)
	root := issue(t, "root, for tests only", nil, rootKey, rootKey.Public(), time.Unix(0, 0), long)
	middle := issue(t, "middle, for tests only", &root, middleKey, middleKey.Public(), time.Unix(0, 0), long)
	leaf = issue(t, "leaf, for tests only", &middle, leafKey, leafKey.Public(), from, to)
	return leaf, []*x509.Certificate{root.cert, middle.cert} // not in order
}

func archive(t testing.TB, encoder *pkcs12.Encoder, key any, cert *x509.Certificate, authorities []*x509.Certificate, password string) []byte {
	t.Helper()
	data, err := encoder.Encode(key, cert, authorities, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// certificateSetting is an enterprise certificate as EncodedX509 holds it.
func certificateSetting(t testing.TB, leaf authority, authorities []*x509.Certificate) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, ""))
}

// answered asks for a token in a bubble, while the fault lasts, and gives the error.
func answered(t *testing.T, changes map[string]any, fault faulttest.Fault) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		if fault.Match != nil {
			fault.Times = -1
			srv.Faults.Add(fault)
		}
		source := sourceOf(t, srv, changes)
		defer source.Close()
		_, err = source.Token(t.Context())
	})
	if strings.Contains(prints(err), "CANARY") {
		t.Error("got a secret that is printed, want no secret")
	}
	return err
}

// hanging is a body that gives nothing before it is released.
type hanging struct{ release chan struct{} }

func (h hanging) Read([]byte) (int, error) {
	<-h.release
	return 0, io.EOF
}

// jwkWith is the test key with members replaced, or removed if they are nil.
func jwkWith(t testing.TB, changes map[string]any) string {
	t.Helper()
	var jwk map[string]any
	if err := json.Unmarshal([]byte(keyFile(t, "client.jwk.json")), &jwk); err != nil {
		t.Fatal(err)
	}
	maps.Copy(jwk, changes)
	maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == nil })
	data, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// lasting changes the settings to a key whose end is known and far away.
func lasting(t testing.TB) map[string]any {
	t.Helper()
	return map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"exp": int64(4102444800)}))}
}

func compact(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func member(t testing.TB, jwk, name string) any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(jwk), &members); err != nil {
		t.Fatal(err)
	}
	return members[name]
}

// quotes finds a longer piece of the input in a text, unless one of the fixed texts
// has it too. It is "" if there is none.
func quotes(text, input string, fixed ...string) string {
	for i := 0; i+longestQuote < len(input); i++ {
		piece := input[i : i+longestQuote+1]
		isFixed := slices.ContainsFunc(fixed, func(f string) bool { return strings.Contains(f, piece) })
		if strings.Contains(text, piece) && !isFixed {
			return piece
		}
	}
	return ""
}

func tokenAnswer(token string, life int) *http.Response {
	resp := answer(http.StatusOK, nil)
	resp.Body = io.NopCloser(strings.NewReader(`{"access_token":"` + token + `","expires_in":` + strconv.Itoa(life) + `}`))
	return resp
}

func keys(list ...*httpclient.Key) httpclient.KeySource {
	return httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return list, nil })
}

// withoutKey are the double's settings with keys from a source.
func withoutKey(t testing.TB, srv *maskinportentest.Server, source httpclient.KeySource, opts ...httpclient.Option) *httpclient.TokenSource {
	t.Helper()
	return sourceOf(t, srv, map[string]any{"EncodedJwk": ""}, append(opts, httpclient.WithKeySource(source))...)
}

type lockedSigner struct {
	crypto.Signer
	err error
}

func (l lockedSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, l.err }

// builtIn spares a test the look-up of metadata.
var builtIn = maskinportentest.WithIssuer("https://test.maskinporten.no/")

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// supplier is a double whose client may ask on behalf of others.
func supplier(t testing.TB) *maskinportentest.Server {
	t.Helper()
	return newDouble(t, maskinportentest.WithClient(maskinportentest.Client{OrgNo: "974760673", Scopes: []string{scope, "other:scope"}}))
}

const consentID = "77ed8698-e619-4066-9eb4-5c1eb3f165a1"

// instant is a source whose tokens cost next to nothing.
func instant(t testing.TB, opts ...httpclient.Option) (*httpclient.TokenSource, *atomic.Int64) {
	t.Helper()
	key, err := httpclient.NewKey(fakeSigner{clientKey(t).Signer()}, "for-tests-only", "")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	opts = append([]httpclient.Option{
		httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
			return []*httpclient.Key{httpclient.Unverified(key)}, nil
		})),
		httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return tokenAnswer("t", 3600), nil
		})),
	}, opts...)
	source, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s"}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source, &asked
}

func customer(t testing.TB, i int) context.Context {
	return httpclient.ContextWithConsumerOrg(t.Context(), fmt.Sprintf("%09d", i))
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fakeSigner is RSA by its public key, and signs nothing.
type fakeSigner struct{ crypto.Signer }

func (fakeSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}

// opaque hides a private key behind the interface, as a device does.
type opaque struct{ crypto.Signer }

// exponent says that its key has another public exponent.
type exponent struct {
	crypto.Signer
	e int
}

func (s exponent) Public() crypto.PublicKey {
	public := *s.Signer.Public().(*rsa.PublicKey)
	public.E = s.e
	return &public
}

// toToken and toExchange choose the double's endpoints for faults.
func toToken(r *http.Request) bool { return r.URL.Path == "/token" }

func toExchange(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/exchange/maskinporten") }

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone home"))
	return ctx
}

type roundTripper = roundtrip.Func

func answer(status int, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: http.NoBody}
}

type closeCounter struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeCounter) Close() error {
	c.closed.Add(1)
	return nil
}

// body is an answer with a text.
func body(status int, text string, header http.Header) *http.Response {
	resp := answer(status, header)
	resp.Body = io.NopCloser(strings.NewReader(text))
	return resp
}

func issue(t testing.TB, name string, parent *authority, key, public any, from, to time.Time) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	signer := authority{template, key}
	if parent != nil {
		signer = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, public, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// longestQuote is how much of a setting an error may share with it by accident, in bytes.
const longestQuote = 15

func signingKey(t testing.TB) *httpclient.Key {
	t.Helper()
	key, err := httpclient.ParseJWK(keyFile(t, "client.jwk.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// from is an Origin that knows the sources of these keys.
func from(sources map[string]string) func(string) httpclient.Origin {
	return func(key string) httpclient.Origin { return httpclient.Origin{Source: sources[key]} }
}
