package httpclient

import "time"

// The limits of this package, each with its reason. Those of a token's life in the
// cache stand in internal/tokencache.
const (
	// refreshWindow is the longest time before a token's end in which it is
	// refreshed ahead. For short tokens it is 15 % of their life.
	refreshWindow = 5 * time.Minute
	// safetyMargin is the longest time before a token's end from which it is not
	// used any more, since a request takes time to arrive. For short tokens it is
	// 5 % of their life.
	safetyMargin = 10 * time.Second
	// maxLife is longer than any token lives; it keeps arithmetic from overflowing.
	maxLife = 365 * 24 * time.Hour
	// altinnLife is how long Altinn documents its tokens to live, for one that does
	// not say so itself.
	altinnLife = 30 * time.Minute
	// minOpaque is the shortest token that is believed to be one: shorter texts can be
	// guessed, or are words.
	minOpaque = 16

	// assertionLife is how long an assertion is valid: the most that Maskinporten
	// accepts, because a long one tolerates a slow clock.
	assertionLife = 120 * time.Second
	// minSkew is a clock's difference that cannot be the cause of a refusal.
	minSkew = 2 * time.Second
	// maxSkew is the largest difference that is corrected for: beyond it the answer's
	// Date is as likely to be wrong as this machine's clock.
	maxSkew = time.Hour

	// keyWarning is how long before its end a key is warned about, at most: to order a
	// certificate takes weeks. A key that lives less than 150 days is warned about in the
	// last keyWarningPart of its life: Altinn's platform replaces keys of 30 days a week
	// before their end, and no warning is due then.
	keyWarning     = 30 * 24 * time.Hour
	keyWarningPart = 5
	// lastDay is how long before its end a key is an error.
	lastDay = 24 * time.Hour
	// warnEvery is the time between two records about the same key.
	warnEvery = 24 * time.Hour
	// maxTold is of how many keys it is remembered when they were warned about. Maskinporten
	// takes five at once.
	maxTold = 50
	// refusedPause is how long a key that Maskinporten does not know comes after the
	// others. A new key takes up to 2 minutes to work. Each try costs a signature and a
	// refused request.
	refusedPause = 2 * time.Minute
	// defaultReload is how old keys become before they are read again, unless
	// ReloadingKeys says otherwise. Kubernetes takes about a minute to renew a mounted
	// file.
	defaultReload = time.Minute
	// rereadPause is the time between two readings because of refused keys: many fetches
	// may be refused at once.
	rereadPause = 10 * time.Second
	// readTimeout bounds a reading of keys. It leaves a fetch enough time for an attempt.
	readTimeout = 10 * time.Second
	// maxReadings is how many readings may go on at once, of which all but one ignored
	// the end of their context.
	maxReadings = 4
	// maxSettingsFile is far more than a file of settings holds, in bytes.
	maxSettingsFile = 1 << 20

	// maxArchive is far more than a key and its chain take, in bytes.
	maxArchive = 64 << 10
	// maxKeyBag is more than an encrypted key of jose.MaxBits takes, which is about
	// 4,800 bytes.
	maxKeyBag = 6000
	// minUserName is the shortest user name that is redacted in a server's words. A
	// shorter one may be a word of the answer.
	minUserName = 8
	// How long settings can be, in characters: names and ids, the settings' own names,
	// addresses, resources and paths, lists of scopes. A longer text may be a secret in the wrong place.
	maxName    = 200
	maxKey     = 100
	maxAddress = 400
	maxText    = 2000
	maxScopes  = 8000

	// attempts is how often one fetch asks an endpoint before it gives up.
	attempts = 3
	// attemptTimeout bounds each attempt.
	attemptTimeout = 8 * time.Second
	// firstBackoff is the pause after the first attempt; it doubles.
	firstBackoff = 200 * time.Millisecond

	// metadataTimeout bounds a look-up of an issuer's metadata, all addresses.
	metadataTimeout = 4 * time.Second
	// metadataLife is after how long metadata is looked up again, and metadataEnd how
	// long it is used if that fails. An issuer without metadata is asked again after
	// metadataRetry.
	metadataLife  = 24 * time.Hour
	metadataEnd   = 30 * 24 * time.Hour
	metadataRetry = time.Minute

	// connectTimeout bounds the connection, and the TLS handshake after it. It is less
	// than an attempt.
	connectTimeout = 5 * time.Second
	// keepAlive is the time between TCP probes, as in http.DefaultTransport.
	keepAlive = 30 * time.Second
	// maxIdle is how many idle connections are kept for each server, and idleTimeout how
	// long. A fetch needs one, and HTTP/2 shares it.
	maxIdle     = 2
	idleTimeout = 90 * time.Second
	// pingAfter is how long a connection may be silent before it is probed. It then has
	// pingTimeout to answer. Together they are less than an attempt.
	pingAfter   = 5 * time.Second
	pingTimeout = 2 * time.Second

	// maxAnswer is far more than a token endpoint has to say, in bytes.
	maxAnswer = 1 << 20
	// maxQuote is how much of an error's field is kept, in characters.
	maxQuote = 1000
	// maxLine is how long an error's text grows by a server's words, in characters: it is
	// for a line of a log. The error's fields have more. minWords of them are there in any
	// case.
	maxLine  = 380
	minWords = 80
	// maxWords is how much is shown of a list of scopes, and of an API's words.
	maxWords = 120
	// redactFrom is the length from which a run of a secret's characters is redacted
	// in a server's words.
	redactFrom = 16

	// freshToken is how old a token is at most that an API cannot refuse for its age.
	freshToken = time.Minute
	// refusalWarning is the time between two warnings about an API that refuses tokens.
	refusalWarning = time.Hour
	// maxRefusing is how many refusing hosts are remembered: a program calls few APIs.
	maxRefusing = 64
	// maxChallenge is how much of an API's header WWW-Authenticate is read, in bytes.
	maxChallenge = 4096

	// maxHops is more redirects than anybody follows: a base that gives the same
	// response twice makes a ring of them.
	maxHops = 100
	// maxQueued is how many log records wait for a slow handler.
	maxQueued = 256
	// maxAudited is how many audit records wait for a slow handler: as many as a program
	// with a full cache gets tokens for when it starts.
	maxAudited = 10_000
	// handlerPatience is after how long it is told that the audit log's handler does not
	// return. It is told at most once in handlerWarning.
	handlerPatience = time.Minute
	handlerWarning  = time.Hour
	// maxStatus is how many tokens a status lists: somebody reads it.
	maxStatus = 50
	// failureMemory is how long after the next try was due a failure still counts, if
	// nothing asked for the token. A readiness check that fails keeps away the traffic
	// that would ask.
	failureMemory = time.Minute
	// readinessWait is how long a readiness check waits for a token. It is less than the
	// second that Kubernetes gives a probe.
	readinessWait = 500 * time.Millisecond
	// closeTimeout is how long Close waits for transports, key sources and signers. It
	// waits as long again for the log handler to take the last records.
	closeTimeout = 5 * time.Second

	// defaultCacheSize is how many tokens of requests with options of their own are
	// kept unless WithCacheSize says otherwise.
	defaultCacheSize = 10_000
)
