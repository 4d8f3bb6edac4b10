package vaultkey

import "time"

// DefaultTimeout bounds a signature if Config.Timeout is zero. Key Vault usually takes
// tens of milliseconds and sometimes seconds.
const DefaultTimeout = 5 * time.Second

const (
	// readTimeout bounds a reading of the keys if Config.Timeout is zero.
	readTimeout = 30 * time.Second
	// firstRetry is how long to wait before a request is sent again for the first time,
	// if ClientOptions does not say. The SDK's own 800 ms leave time for two tries.
	firstRetry = 200 * time.Millisecond
	// connections is how many idle connections are kept. Several tokens may be fetched
	// at the same time.
	connections = 4

	// maxKey is longer than the longest address of a key, in characters.
	maxKey = 500
	// maxKeyID is the longest key id that is made, in characters.
	maxKeyID = 255
	// minBits and maxBits bound the RSA modulus. RFC 7518 section 3.3 requires at least
	// 2048. Key Vault makes keys of up to 4096.
	minBits = 2048
	maxBits = 8192
	// maxExponent is the largest public exponent that crypto/rsa takes.
	maxExponent = 1<<31 - 1
	// maxReasons is how many versions an error tells about.
	maxReasons = 3
)
