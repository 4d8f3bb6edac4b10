package azure

import "time"

const (
	// maxAnswer bounds an answer, in bytes: a page of 25 secrets or one value of
	// 25 KB takes far less.
	maxAnswer = 2 << 20
	// pageStart is how many bytes of an answer show whether it is a web page.
	pageStart = 64
	// maxPages bounds a listing that never ends: 25,000 secrets.
	maxPages = 1000
	// maxQuote bounds what is quoted of an error's text, in characters.
	maxQuote = 300
	// minEcho is how many characters in a row of a secret make a text one that
	// must not be shown.
	minEcho = 16

	// maxRetries is how often a request is sent again after a temporary failure.
	// The SDK does the same unless it is told otherwise.
	maxRetries = 3
	// defaultBackOff is the SDK's own first wait.
	defaultBackOff = 800 * time.Millisecond
	// maxBackOff is the longest wait before a server that throttles, and does not
	// say for how long, is asked again.
	maxBackOff = 5 * time.Second
	// retriesInTime is a number that no load reaches. A server that asks to wait
	// is asked again until the load's time is over.
	retriesInTime = 1 << 20
	// maxWait is the longest Retry-After that the SDK may honour. The load's own
	// time ends sooner.
	maxWait = 24 * time.Hour

	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// idleTimeout matters only within a load: its end closes all connections.
	idleTimeout = 30 * time.Second

	// lastingIdleTimeout is how long a service's connection to a vault may be idle: over
	// the two minutes from one Maskinporten token to the next, and under the four
	// minutes after which Azure drops it.
	lastingIdleTimeout = 3 * time.Minute
	// pingAfter is how long a service's HTTP/2 connection may be silent before it is
	// probed. It then has pingTimeout to answer. Together they are less than the time
	// that a signature may take.
	pingAfter   = 3 * time.Second
	pingTimeout = time.Second
)
