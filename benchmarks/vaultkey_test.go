package benchmarks

import (
	"context"
	"crypto/rsa"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// vaultsKey stores everybody's key in a vault, and reads it as one that stays there.
func vaultsKey(tb testing.TB, srv *vaulttest.Server) *httpclient.Key {
	tb.Helper()
	srv.CreateKey(vaulttest.Key{Name: "benchmarks", Private: privateKey()})
	credential, err := srv.Credential()
	if err != nil {
		tb.Fatal(err)
	}
	source, err := vaultkey.Open(vaultkey.Config{
		Key: "benchmarks", VaultURL: srv.VaultURL(), Credential: credential.GetToken,
		ClientOptions: azkeys.ClientOptions(srv.ClientOptions()),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(source.Close)
	newest, err := source.Newest(context.Background(), 1)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := httpclient.NewKey(newest[0], keyID, newest[0].Algorithm()) // registered under this id
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// localKey is the same key in this process.
func localKey(tb testing.TB) *httpclient.Key {
	tb.Helper()
	key, err := httpclient.NewKey(signerOnly{privateKey()}, keyID, "RS256")
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// signerOnly is a key that package httpclient treats as any other signer.
type signerOnly struct{ *rsa.PrivateKey }

// sourceWith makes a token source that signs with a key.
func sourceWith(tb testing.TB, tokens http.RoundTripper, key *httpclient.Key) *httpclient.TokenSource {
	tb.Helper()
	s := settings()
	s.EncodedJWK = httpclient.Secret{}
	source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(tokens),
		httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return []*httpclient.Key{key}, nil })))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(source.Close)
	return source
}

// A fetch with a vault's key costs one more round trip than one with a local key, and a
// request whose token is in the cache costs nothing more. In simulated time a fetch takes
// as many times the servers' latency as it has round trips in a row.
func TestVaultKeyRoundTrips(t *testing.T) {
	t.Parallel()
	key() // a bubble would wait for it in simulated time
	synctest.Test(t, func(t *testing.T) {
		const latency = 100 * time.Millisecond
		vault := vaulttest.NewPipe(vaulttest.WithLatency(latency))
		t.Cleanup(vault.Close)
		maskinporten := maskinportentest.NewPipe(
			maskinportentest.WithKey(key()), maskinportentest.WithIssuer(issuer),
			maskinportentest.WithTokenLifetime(life), maskinportentest.WithLatency(latency))
		t.Cleanup(maskinporten.Close)

		// fetches is the round trips in a row of the first fetch, which reads the issuer's
		// metadata too, and of a later one.
		fetches := func(key *httpclient.Key) (first, later float64, requests int) {
			source := sourceWith(t, maskinporten.Transport(), key)
			token := func() float64 {
				start := time.Now()
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				return float64(time.Since(start)) / float64(latency)
			}
			before := maskinporten.Stats().TokenRequests
			first = token()
			if warm := token(); warm != 0 {
				t.Errorf("a warm token took %v round trips, want none", warm)
			}
			pass(2 * life) // the token ends unused, so that the next one is waited for
			later = token()
			return first, later, maskinporten.Stats().TokenRequests - before
		}
		first, later, requests := fetches(localKey(t))
		signing := vaultsKey(t, vault)
		vault.ResetStats()
		vaultsFirst, vaultsLater, vaultsRequests := fetches(signing)
		s := vault.Stats()
		t.Attr("more-round-trips", strconv.FormatFloat(vaultsLater-later, 'g', -1, 64))
		if vaultsFirst != first+1 || vaultsLater != later+1 {
			t.Errorf("got %v and %v round trips in a row, want one more than %v and %v", vaultsFirst, vaultsLater, first, later)
		}
		if requests != 2 || vaultsRequests != 2 {
			t.Errorf("got %d and %d token requests, want 2 of each", requests, vaultsRequests)
		}
		if s.Signs != 2 || s.Challenges+s.KeyGets+s.KeyVersionLists+s.Tokens+s.Metadata != 0 {
			t.Errorf("got %+v of the vault, want 2 signatures and nothing else", s)
		}
	})
}

// A warm request allocates with a vault's key what it allocates with a local one, and
// asks the vault nothing.
func TestVaultKeyWarmAllocations(t *testing.T) {
	vault := vaulttest.NewServer()
	defer vault.Close()
	allocations := func(key *httpclient.Key) float64 {
		rt, req := sourceWith(t, cannedTokens(), key).Transport(noOp()), newRequest(t, t.Context())
		request := func() {
			if _, err := rt.RoundTrip(req); err != nil {
				t.Error(err)
			}
		}
		request() // fetches the token
		return testing.AllocsPerRun(1000, request)
	}
	local, vaults := allocations(localKey(t)), allocations(vaultsKey(t, vault))
	if vaults != local || vaults > 3 || vault.Stats().Signs != 1 {
		t.Errorf("got %v allocations and %d signatures, want %v as with a local key, at most 3, and 1", vaults, vault.Stats().Signs, local)
	}
}

// BenchmarkVaultKey is the first fetch of a source's token from an endpoint that answers
// at once: signed in this process, and by a vault on this machine over TLS.
func BenchmarkVaultKey(b *testing.B) {
	vault := vaulttest.NewServer()
	defer vault.Close()
	for _, by := range []struct {
		name string
		key  *httpclient.Key
	}{{"local", localKey(b)}, {"vault", vaultsKey(b, vault)}} {
		b.Run("key="+by.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				source := sourceWith(b, cannedTokens(), by.key)
				if _, err := source.Token(b.Context()); err != nil {
					b.Fatal(err)
				}
				source.Close()
			}
		})
	}
}
