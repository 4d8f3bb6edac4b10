package paste_test

import (
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
)

const keys = "../../testdata/keys"

func TestKind(t *testing.T) {
	t.Parallel()
	for name, secret := range pastetest.Secrets(t, keys) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := paste.Kind(secret)
			if got == "" {
				t.Fatal("got nothing, want it recognised")
			}
			want := ""
			switch {
			case strings.HasPrefix(name, "a client secret in"), name == "a password in single quotes":
				want = "quotation marks"
			case strings.Contains(name, "JWK") || strings.HasPrefix(name, "base64 of it") || name == "base64 of base64 of it":
				want = "JWK"
			case strings.Contains(name, "PEM"):
				want = "PEM"
			case strings.Contains(name, "DER") || strings.Contains(name, "PKCS"):
				want = "DER"
			case strings.Contains(name, "JWT"):
				want = "JWT"
			case strings.Contains(name, "JSON"):
				want = "JSON"
			case strings.Contains(name, "Entra"):
				want = "Entra"
			case strings.Contains(name, "connection"), strings.Contains(name, "signature"):
				want = "connection"
			case strings.Contains(name, "token"), strings.Contains(name, "Basic"):
				want = "token"
			case strings.Contains(name, "XML"), strings.Contains(name, "OpenSSH"):
				want = "private key"
			}
			if !strings.Contains(got, want) {
				t.Errorf("got %q, want %q in it", got, want)
			}
			if strings.Contains(got, "CANARY") || paste.Quotable(secret) || paste.Problem(secret, 1<<20) != problem(got) {
				t.Errorf("got %q, quotable %t, problem %q", got, paste.Quotable(secret), paste.Problem(secret, 1<<20))
			}
		})
	}
}

// What settings really hold passes.
func TestOrdinaryValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "test", "prod", "tt02", "991825827", "3c1a2f7e-9f0e-4a55-8d4c-0b1c2d3e4f50", "oidc_skatteetaten_0123456789abcdef",
		"altinn:serviceowner/instances.read altinn:serviceowner/instances.write", "https://test.maskinporten.no/", "https://my-vault.vault.azure.net/",
		"skatteetaten:formueinntekt/skattemelding,skatteetaten:inntekt/2024", "/var/run/secrets/enterprise.p12", `C:\keys\enterprise.p12`, "my-key-2026", "{3c1a2f7e-9f0e-4a55-8d4c-0b1c2d3e4f50}", "MAskinportenClientForSomething",
		"f1b0c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d.1", "0123456789abcdef0123456789abcdef01234567", "contoso.onmicrosoft.com", "urn:altinn:resource:some_api_name_that_is_long",
		"https://api.example/a/b?c=d", "true", "5", "abcdefghijklmnopqrstuvwxyzabcdefghijkl",
		"MILJODIREKTORATET_saksvarsel_klient", "altinn:d altinn:kty.read", "https://api.example/?signature=none", "it's: 5", "Basic", "CLIENT~TILDE", "MICROSOFT_PROVIDER_AUTHENTICATION_SECRET", "MIGRATION_SERVICE_FOR_SAKSVARSEL",
	} {
		if got := paste.Problem(value, 300); got != "" {
			t.Errorf("%q: got %q, want no problem", value, got)
		}
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	const want = "looks like a key or a token of random characters: set the value that belongs here"
	for name, value := range map[string]string{
		"a storage key": "dskX2urm26/L8H2YxO8G+Z9tnYGT5XKYbCOy38imz6kQzX1r7Tt0bGv2NfYc9WmPq4Lh6JdKsRu8EoAiBx3V5w==",
		"base64url":     "dskX2urm26_L8H2YxO8G-Z9tnYGT5XKYbCOy38imz6kQzX1r7T",
		"in a text":     "the key dskX2urm26L8H2YxO8GZ9tnYGT5XKYbC.",
	} {
		if got := paste.Random(value); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, value := range map[string]string{
		"nothing": "", "a GUID": "3c1a2f7e-9f0e-4a55-8d4c-0b1c2d3e4f50", "capitals of a GUID": "3C1A2F7E-9F0E-4A55-8D4C-0B1C2D3E4F50",
		"hexadecimal": "0123456789abcdef0123456789abcdef01234567", "words": "MaskinportenSettingsForTheVeryLongNamedService2",
		"dashes": "MaskinportenSettings--Prod2-EncodedJwk-For-My-Long-Name1", "scopes": "altinn:serviceowner/instances.read skatteetaten:formueinntekt/Skattemelding2024",
		"a path": "/var/run/Secrets/App1/Enterprise/MyCertificate2026.p12", "a resource": "https://Api.example/v2/Instances/MyOrg/MyApp/Process1",
		"a short one": "dskX2urm26L8H2YxO8GZ9tnYGT5XKYb",
	} {
		if got := paste.Random(value); got != "" {
			t.Errorf("%s: got %q, want no problem", name, got)
		}
	}
}

func TestLongValues(t *testing.T) {
	t.Parallel()
	if got, want := paste.Problem(strings.Repeat("å", 11), 10), "is a text of 11 characters: at most 10 are possible, so that it may be a secret in the wrong place"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := paste.Problem(strings.Repeat("å", 10), 10); got != "" {
		t.Errorf("got %q, want no problem", got)
	}
}

func TestBrief(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"tset":                         `"tset"`,
		"Produksjon":                   `"Produksjon"`,
		"TT02":                         `"TT02"`,
		"tt02":                         `"tt02"`,
		"889640782":                    `"889640782"`,
		"https://test.maskinporten.no": `"https://test.maskinporten.no"`,
		"https://h.example/token":      `"https://h.example/token"`,
		"":                             "a text of 0 characters",
		"01017012345":                  "a text of 11 characters",
		"abc8Q~CANARY":                 "a text of 12 characters",
		"hunter-2":                     "a text of 8 characters",
		"Sommer2026":                   "a text of 10 characters",
		"Passord12":                    "a text of 9 characters",
		"correct horse":                "a text of 13 characters",
		"https://u:p@h.example/":       "a text of 22 characters",
		"https://h.example/?sig=x":     "a text of 24 characters",
		"https://h.example/#x":         "a text of 20 characters",
		"https://h.example/?":          "a text of 19 characters",
		"https://h.example/" + strings.Repeat("a", 41):    "a text of 59 characters",
		"https://" + strings.Repeat("h.", 60) + "example": "a text of 135 characters",
		"a\nb": "a text of 3 characters",
	} {
		if got := paste.Brief(value); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

// Nothing that is put in makes it panic, and what it says never holds the value.
func FuzzProblem(f *testing.F) {
	for _, secret := range pastetest.Secrets(f, keys) {
		f.Add(secret)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := paste.Problem(value, 100)
		for i := 0; i+24 <= len(value); i++ {
			if strings.Contains(got, value[i:i+24]) && !strings.Contains(fixed, value[i:i+24]) {
				t.Fatalf("quotes %q: %s", value[i:i+24], got)
			}
		}
	})
}

// fixed is the texts that a value may happen to hold itself.
const fixed = "looks like a private key (PEM): convert it to a JWK, which belongs in EncodedJwk looks like base64 of a private key (JWK): it belongs in EncodedJwk " +
	"a certificate or key (PEM) a token (JWT): tokens are not settings a text in quotation marks: remove them " +
	"base64 of a key or certificate (DER, PKCS#12): an archive belongs in EncodedX509 " +
	"a private key (XML, OpenSSH): convert it to a JWK, which belongs in EncodedJwk a connection string or a shared access signature: it does not belong here " +
	"an access token: tokens are not settings " +
	"characters: at most 100 are possible, so that it may be a secret in the wrong place is a text of"

// problem is what Problem says about a value of this kind.
func problem(kind string) string {
	if quotes, ok := strings.CutPrefix(kind, "a text in quotation marks"); ok {
		return "is in quotation marks" + quotes
	}
	return "looks like " + kind
}
