package roundtrip_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/portnokkel/portnokkel/internal/roundtrip"
)

func TestFunc(t *testing.T) {
	t.Parallel()
	want := errors.New("as the function says")
	var got *http.Request
	req := &http.Request{}
	resp, err := roundtrip.Func(func(r *http.Request) (*http.Response, error) { got = r; return nil, want }).RoundTrip(req)
	if resp != nil || !errors.Is(err, want) || got != req {
		t.Errorf("got %v, %v after %p, want nil, %v after %p", resp, err, got, want, req)
	}
}
