package azure

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// takeOver makes this wire say what is tried again, unless the caller's options
// do. The SDK still decides how long to wait in between.
//
// The SDK by itself sends a request four times within seconds. All replicas of a
// service that start at once would fail together on a vault that throttles them.
func (w *wire) takeOver(retry *policy.RetryOptions) {
	if retry.MaxRetries != 0 || retry.StatusCodes != nil || retry.ShouldRetry != nil {
		return
	}
	w.retries = true
	w.backOff = max(time.Millisecond, cmp.Or(retry.RetryDelay, defaultBackOff))
	w.longest = maxBackOff
	if retry.MaxRetryDelay > 0 {
		w.longest = min(maxBackOff, retry.MaxRetryDelay)
	}
	retry.MaxRetries, retry.ShouldRetry = retriesInTime, w.shouldRetry
	retry.MaxRetryDelay = cmp.Or(retry.MaxRetryDelay, maxWait)
}

// tries is how often one request was tried again, in a row.
type tries struct{ failures, waits int }

// shouldRetry is the SDK's question after each try that was not final. A server
// that throttles, or asks to wait, is asked again until the time is over. Any other
// temporary failure gets a few tries.
func (w *wire) shouldRetry(resp *http.Response, err error) bool {
	if err != nil {
		return true // what must not be tried again is a finalError
	}
	wait := retryAfter(resp.Header)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests, wait > 0 && mayPassStatus(status):
		ours := wait == 0
		if ours {
			wait = w.nextWait(resp.Request)
		}
		if deadline, bounded := resp.Request.Context().Deadline(); bounded && time.Until(deadline) <= wait {
			return false
		}
		if ours {
			// The SDK reads the wait from the answer. Its own would soon be too long.
			resp.Header.Set("retry-after-ms", strconv.FormatInt(max(1, wait.Milliseconds()), 10))
		}
		return true
	case mayPassStatus(status):
		return w.another(resp.Request)
	}
	return false
}

// nextWait doubles from wait to wait, and is spread so that the replicas of a
// service do not come back together.
func (w *wire) nextWait(req *http.Request) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tries[nameOf(req)]
	wait := float64(w.backOff) * math.Exp2(float64(t.waits)) * (0.75 + rand.Float64()/2)
	t.waits++
	w.tries[nameOf(req)] = t
	return time.Duration(min(wait, float64(w.longest)))
}

// mayPassStatus reports whether the SDK tries again after a status.
func mayPassStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// another counts a failure, and reports whether there is a try left.
func (w *wire) another(req *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tries[nameOf(req)]
	t.failures++
	w.tries[nameOf(req)] = t
	return !w.retries || t.failures <= maxRetries
}

// mayPass reports whether trying again may help within the time of a load. A host that
// does not resolve gets one more try: the resolver may be starting together with the
// service.
func (w *wire) mayPass(cause *netcause.Error) bool {
	if cause.Permanent || cause.Kind == netcause.ProxyRefused || cause.Kind == netcause.Page {
		return false
	}
	var dns *net.DNSError
	if !errors.As(cause, &dns) || !dns.IsNotFound {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unknown++
	return w.unknown == 1
}

// retryAfter is how long a server asks to wait, by the headers that the SDK reads,
// in its order; 0 if it does not ask.
func retryAfter(header http.Header) time.Duration {
	for _, name := range []string{"retry-after-ms", "x-ms-retry-after-ms", "Retry-After"} {
		unit := time.Millisecond
		if name == "Retry-After" {
			unit = time.Second
		}
		value := header.Get(name)
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			return time.Duration(min(n, int64(maxWait/unit))) * unit
		}
		if at, err := http.ParseTime(value); err == nil && unit == time.Second {
			return max(0, time.Until(at))
		}
	}
	return 0
}
