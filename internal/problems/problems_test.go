package problems_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/portnokkel/portnokkel/internal/problems"
)

var (
	errA = errors.New("httpclient: ClientId is missing")
	errB = errors.New("httpclient: Scope is missing")
	errC = errors.New("provider: SecretUri is missing")
)

func TestJoin(t *testing.T) {
	t.Parallel()
	if err := problems.Join(nil, nil); err != nil {
		t.Errorf("got %v of no error, want nil", err)
	}
	if err := problems.Join(nil, errA); err != errA { //nolint:errorlint // it is the same error
		t.Errorf("got %v of one error, want it", err)
	}
	errs := []error{errA, nil, errB}
	err := problems.Join(errs...)
	if got, want := err.Error(), "httpclient: ClientId is missing\nhttpclient: Scope is missing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, errA) || !errors.Is(err, errB) || errors.Is(err, errC) {
		t.Errorf("got %v, want it to be its parts and nothing else", err)
	}
	if errs[1] != nil {
		t.Error("the caller's slice was changed")
	}
	value := slog.AnyValue(err).Resolve()
	if got, want := value.String(), "httpclient: ClientId is missing; Scope is missing"; got != want {
		t.Errorf("in a log: got %q, want %q", got, want)
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"":                                nil,
		"httpclient: ClientId is missing": errA,
		"httpclient: ClientId is missing; Scope is missing; provider: SecretUri is missing":             problems.Join(errA, errB, errC),
		"httpclient: ClientId is missing; provider: SecretUri is missing; httpclient: Scope is missing": errors.Join(errA, errC, errB),
		"fxmodule: client: httpclient: ClientId is missing; httpclient: Scope is missing":               fmt.Errorf("fxmodule: client: %w", problems.Join(errA, errB)),
		"no prefix; none here": errors.New("no prefix\n\n  none here\n"),
		"Post: x; Post: y":     errors.New("Post: x\nPost: y"),
	} {
		if got := problems.OneLine(err); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
