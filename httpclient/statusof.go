package httpclient

import (
	"errors"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/problems"
)

type (
	cacheStatus = tokencache.Status[tokenRequest, *Token]
	itemStatus  = tokencache.ItemStatus[tokenRequest, *Token]
)

// Status tells the state of the source's tokens, of its key and of its circuit breaker.
// It asks no server, fetches nothing and does not wait. For a readiness check see
// [TokenSource.ReadinessHandler].
func (s *TokenSource) Status() Status {
	open := s.open()
	if open == nil {
		return Status{State: StateClosed, Breaker: BreakerStatus{State: BreakerClosed}, Tokens: []TokenStatus{}}
	}
	return open.status()
}

func (s *source) status() Status {
	found := s.cache.Status(maxStatus)
	if s.request.scope == "" {
		found.Items = found.Items[1:] // there is no token of the settings' own
	}
	status := Status{
		ClientID: s.clientID, Time: seconds(found.Now.Time()), Key: keyStatus(s.upstream.key()),
		Breaker: s.breakerStatus(found.Breaker), Tokens: []TokenStatus{}, MoreTokens: found.More,
	}
	for _, item := range found.Items {
		status.Tokens = append(status.Tokens, s.tokenStatus(item, found.Now))
	}
	s.sumUp(&status, found)
	return status
}

// sumUp sets a status's State and Failure.
func (s *source) sumUp(status *Status, found cacheStatus) {
	now := found.Now
	own, isOwn := TokenStatus{}, s.request.scope != "" && found.Items[0].Asked
	if isOwn {
		own = status.Tokens[0]
	}
	usable := own.State.usable()
	for _, token := range status.Tokens {
		usable = usable || !isOwn && token.State.usable()
	}
	failure, failing := status.Breaker.Failure, found.Breaker.Failing
	if isOwn && own.Failure != nil {
		failure, failing = own.Failure, found.Items[0].Failing
	}
	switch {
	case found.Closed:
		status.State = StateClosed
		return
	case failure == nil && usable:
		status.State = StateReady
		return
	}
	status.State = stateOf(usable, failing, now)
	if status.State != StateUnknown {
		status.Failure = failure
	}
}

func (s State) usable() bool { return s == StateReady || s == StateDegraded }

// stateOf is the state of a token, or of a source.
func stateOf(usable bool, failing tokencache.Failing, now tokencache.Instant) State {
	switch {
	case usable && failing.Err != nil:
		return StateDegraded
	case usable:
		return StateReady
	case failing.Err != nil && !failing.Next.Add(failureMemory).Reached(now):
		return StateFailing
	}
	return StateUnknown
}

func (s *source) tokenStatus(item itemStatus, now tokencache.Instant) TokenStatus {
	request := item.Key
	user, isConsent := request.named()
	t := TokenStatus{
		Scope: request.shownScope(), Resource: request.shownResource(), ConsumerOrg: request.consumerOrg,
		SystemUserOrg: user.OrgNo, SystemUserRef: user.ExternalRef,
		PersonNamed: request.person != "", ConsentNamed: isConsent, Exchange: s.exchanger != nil,
		Failure: s.failureStatus(item.Failing), State: stateOf(item.Value != nil, item.Failing, now),
	}
	if item.Value != nil {
		t.Expires, t.NextRefresh = seconds(item.Value.Expires()), seconds(item.Life.Refresh.Time())
	}
	return t
}

func keyStatus(key *Key) *KeyStatus {
	if key == nil {
		return nil
	}
	return &KeyStatus{ID: key.kid, Certificate: len(key.chain) > 0, Expires: seconds(key.Expires())}
}

func (s *source) breakerStatus(b tokencache.BreakerStatus) BreakerStatus {
	status := BreakerStatus{State: BreakerClosed, Failure: s.failureStatus(b.Failing)}
	switch {
	case b.Open:
		status.State = BreakerOpen
	case b.HalfOpen:
		status.State = BreakerHalfOpen
	}
	return status
}

func (s *source) failureStatus(f tokencache.Failing) *FailureStatus {
	if f.Err == nil {
		return nil
	}
	status := &FailureStatus{
		Since: seconds(f.Since.Time()), Count: f.Count, NextTry: seconds(f.Next.Time()),
		Error: problems.OneLine(s.explained(f.Err)),
	}
	var failed *TokenError
	if errors.As(f.Err, &failed) {
		failed = failed.withoutWords()
		status.Error = problems.OneLine(failed)
		status.StatusCode, status.Code, status.MPCode, status.TraceID = failed.StatusCode, failed.Code, failed.MPCode, failed.TraceID
	}
	return status
}

// seconds is a time as a status shows it.
func seconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}
