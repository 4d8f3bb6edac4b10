package pastetest_test

import (
	"testing"

	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
)

// Tests look for parts of 16 characters: no secret is shorter, and none is another's
// part.
func TestSecrets(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, secret := range pastetest.Secrets(t, "../../../testdata/keys") {
		if len(secret) < 16 {
			t.Errorf("%s: got %d characters, want at least 16", name, len(secret))
		}
		if other, ok := seen[secret]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[secret] = name
	}
	if len(seen) < 30 {
		t.Errorf("got %d secrets, want 30 kinds", len(seen))
	}
}
