package httpclient

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// This package's own failures of a request, and the network's beside them.
func TestReadNetwork(t *testing.T) {
	t.Parallel()
	const transport = "check what WithTokenTransport was given"
	for name, c := range map[string]struct {
		err        error
		what, cure string
		permanent  bool
	}{
		"no response":  {errNoResponse, errNoResponse.Error(), transport, false},
		"misbehaved":   {&misbehaved{"the transport", "panicked"}, "the transport panicked", transport, false},
		"too long":     {errTooLong, errTooLong.Error(), "check Environment and the proxy: something else answers in the server's place", false},
		"no URL":       {errBadURL, errBadURL.Error(), "check Environment", true},
		"the network":  {fmt.Errorf("CANARY: %w", io.EOF), "the connection ended before the answer did", "try again later; if it stays so, a proxy or firewall on the way cuts the connection", false},
		"other errors": {errors.New("CANARY"), "no readable answer (*errors.errorString)", "check Environment and the proxy: something else answers in the server's place", false},
	} {
		got := readNetwork(nil, c.err, "Environment")
		if got.err.Error() != c.what || got.cure != c.cure || got.permanent != c.permanent {
			t.Errorf("%s: got %q, %q, permanent %t, want %q, %q, %t", name, got.err, got.cure, got.permanent, c.what, c.cure, c.permanent)
		}
	}
}
