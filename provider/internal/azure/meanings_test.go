package azure

import (
	"os/exec"
	"strings"
	"testing"
)

// TestReadAgainst names the versions of the SDK whose behaviour this package
// depends on.
func TestReadAgainst(t *testing.T) {
	t.Parallel()
	for module, version := range map[string]string{
		"github.com/Azure/azure-sdk-for-go/sdk/azcore":                      "v1.23.3",
		"github.com/Azure/azure-sdk-for-go/sdk/azidentity":                  "v1.15.0",
		"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys":    "v1.5.0",
		"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets": "v1.5.1",
		"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/internal":  "v1.2.0",
		"github.com/AzureAD/microsoft-authentication-library-for-go":        "v1.10.1",
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module).CombinedOutput()
		if err != nil {
			t.Fatalf("go list %s: %v: %s", module, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != version {
			t.Errorf(`%[1]s is now %[2]s; this package was read against %[3]s. Before you raise the version here:
 1. Compare the two versions' sources in the places that this package's comments name:
    keyvault/internal challenge_policy.go, azcore runtime/policy_retry.go, policy_bearer_token.go and
    policy_body_download.go, azidentity errors.go and chained_token_credential.go, and the library's apps/internal/oauth.
 2. Compare the texts of the table in meanings.go with the SDK's errors.
 3. Run go test ./provider/... and, for a minute, go test ./provider/internal/azure -run '^$' -fuzz FuzzChallenge.`, module, got, version)
		}
	}
}

// TestMeanings holds the table together.
func TestMeanings(t *testing.T) {
	t.Parallel()
	if kindOfText("something else") != kindUnknown || meaningOf(kindUnknown) != "" {
		t.Error("an unknown text has a meaning")
	}
	for i, m := range meanings {
		if m.kind == kindUnknown && len(m.codes) == 0 && m.from == 0 {
			t.Errorf("row %d is never found: %+v", i, m)
		}
		if m.cure == "" {
			t.Errorf("row %d says nothing to do: %+v", i, m)
		}
		for _, text := range []string{m.means, m.cure} {
			if strings.HasSuffix(text, ".") || strings.Contains(text, "\n") || strings.TrimSpace(text) != text {
				t.Errorf("row %d: %q is not part of a sentence", i, text)
			}
		}
		// Each row is found by each of its keys, unless an earlier one is.
		for _, code := range m.codes {
			if got := meaningFor(Diagnosis{Step: m.step, StatusCode: 400, Code: code}); got.cure != m.cure || got.means != m.means {
				t.Errorf("%s: got %+v", code, got)
			}
		}
		for _, part := range m.texts {
			if got := kindOfText("before " + part + " after"); got != m.kind {
				t.Errorf("%q: got kind %d, want %d", part, got, m.kind)
			}
		}
		if m.kind != kindUnknown {
			if got := meaningFor(Diagnosis{Step: m.step, kind: m.kind}); got.cure != m.cure {
				t.Errorf("row %d: got %q", i, got.cure)
			}
		}
	}
	// Every kind has a hint, at every step.
	for k := kindUnknown + 1; k <= kindGone; k++ {
		for _, step := range []string{StepAuthenticate, StepList, StepGet, StepKeyVersions, StepKey, StepSign} {
			if meaningFor(Diagnosis{Step: step, kind: k}).cure == "" {
				t.Errorf("kind %d has no hint at %s", k, step)
			}
		}
	}
}

// What a role or an access policy lacks is told as the step needs it.
func TestPermissionHints(t *testing.T) {
	t.Parallel()
	for step, want := range map[string][2]string{
		StepList:        {cureRole + cureByName, cureAccess + cureByName},
		StepGet:         {cureRole, cureAccess},
		StepKeyVersions: {cureKeyRole, cureKeyAccess},
		StepKey:         {cureKeyRole, cureKeyAccess},
		StepSign:        {cureKeyRole, cureKeyAccess},
	} {
		for i, code := range []string{"ForbiddenByRbac", "AccessDenied"} {
			if got := meaningFor(Diagnosis{Step: step, StatusCode: 403, Code: code}); got.cure != want[i] {
				t.Errorf("%s %s: got %q, want %q", step, code, got.cure, want[i])
			}
		}
	}
}

// TestStatusHints holds which hint a bare status gets.
func TestStatusHints(t *testing.T) {
	t.Parallel()
	cases := []struct {
		step   string
		status int
		want   string
	}{
		{StepList, 100, cureAddress},
		{StepList, 199, cureAddress},
		{StepList, 200, ""},
		{StepList, 299, ""},
		{StepList, 300, cureAddress},
		{StepList, 399, cureAddress},
		{StepAuthenticate, 302, cureEntra},
		{StepList, 400, "the vault does not accept the request"},
		{StepGet, 400, "the vault does not accept the request"},
		{StepAuthenticate, 400, "Entra does not accept the request"},
		{StepGet, 401, "the vault does not accept the credential's token"},
		{StepAuthenticate, 401, "check {ClientId} and {ClientSecret}"},
		{StepGet, 402, ""},
		{StepList, 403, cureMay + cureByName},
		{StepGet, 403, cureMay},
		{StepWatch, 403, cureMay + cureList},
		{StepVersions, 403, cureMay},
		{StepKeyVersions, 403, cureKeyMay},
		{StepKey, 403, cureKeyMay},
		{StepSign, 403, cureKeyMay},
		{StepList, 404, cureAddress},
		{StepSign, 404, cureAddress},
		{StepGet, 404, "check the secret's name, and that {VaultURL} is a key vault's address"},
		{StepAuthenticate, 404, cureEntra},
		{StepGet, 418, ""},
		{StepGet, 429, "the vault is asked for too much"},
		{StepWatch, 429, "raise WatchEvery, or watch in fewer instances"},
		{StepKeyVersions, 429, cureKeyReads},
		{StepKey, 429, cureKeyReads},
		{StepSign, 429, "the vault is asked for too many signatures"},
		{StepAuthenticate, 429, "Entra is asked for too many tokens"},
		{StepGet, 499, ""},
		{StepGet, 500, "the service has a fault of its own"},
		{StepAuthenticate, 599, "the service has a fault of its own"},
		{StepGet, 600, ""},
	}
	for _, c := range cases {
		got := meaningFor(Diagnosis{Step: c.step, StatusCode: c.status})
		if got.cure != c.want && got.means != c.want || c.want == "" && got.cure != "" {
			t.Errorf("%s %d: got %q and %q, want %q", c.step, c.status, got.means, got.cure, c.want)
		}
	}
}

// Who watches or lists versions has to list: the advice to name secrets does not help.
func TestMeaningsOfAMissingPermission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ step, code, want string }{
		{StepList, "ForbiddenByRbac", cureRole + cureByName},
		{StepList, "AccessDenied", cureAccess + cureByName},
		{StepGet, "ForbiddenByRbac", cureRole},
		{StepVersions, "ForbiddenByRbac", cureRole},
		{StepVersions, "AccessDenied", cureAccess},
		{StepWatch, "ForbiddenByRbac", cureRole + cureList},
		{StepWatch, "AccessDenied", cureAccess + cureList},
	} {
		if got := meaningFor(Diagnosis{Step: c.step, StatusCode: 403, Code: c.code}).cure; got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.step, c.code, got, c.want)
		}
	}
}
