package vaultkey

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// Sign is [Key.SignContext] without a context of the caller's. It makes the key a
// [crypto.Signer]. It does not use random: the vault has its own.
func (k *Key) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.SignContext(context.Background(), digest, opts)
}

// SignContext has the vault sign a digest (RSASSA-PKCS1-v1_5). opts is the digest's
// hash: SHA-256, SHA-384 or SHA-512, for RS256, RS384 or RS512. It ends when ctx does,
// and within [Config.Timeout], tries again included. It checks the signature with the
// public key. Errors are mostly an [*Error].
func (k *Key) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k == nil || k.sign == nil {
		return nil, errors.New("vaultkey: the Key is nil or zero: take one from a Source")
	}
	algorithm, err := algorithmOf(digest, opts)
	if err != nil {
		return nil, err
	}
	return k.sign(ctx, algorithm, digest)
}

// algorithmOf finds the algorithm that a signer's options ask for.
func algorithmOf(digest []byte, opts crypto.SignerOpts) (string, error) {
	if azure.IsNil(opts) {
		return "", errors.New("vaultkey: Sign was given no options: set the digest's hash, such as crypto.SHA256")
	}
	if _, pss := opts.(*rsa.PSSOptions); pss {
		return "", errors.New("vaultkey: Sign was asked for a PSS signature: Maskinporten takes RS256, RS384 and RS512 only, so give crypto.SHA256, SHA384 or SHA512 as options")
	}
	for algorithm, hash := range algorithms {
		if hash != opts.HashFunc() {
			continue
		}
		if len(digest) != hash.Size() {
			return "", fmt.Errorf("vaultkey: Sign was given %d bytes: %s signs a digest by %v, of %d bytes", len(digest), algorithm, hash, hash.Size())
		}
		return algorithm, nil
	}
	return "", fmt.Errorf("vaultkey: Sign was given the hash %v: give crypto.SHA256, SHA384 or SHA512", opts.HashFunc())
}

// sign has the vault sign with one version.
func (v *vault) sign(ctx context.Context, k *Key, algorithm string, digest []byte) ([]byte, error) {
	timeout := v.cfg.timeout(DefaultTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &azure.LateError{After: timeout})
	defer cancel()
	call, session := v.way.Call(ctx)
	name := azkeys.SignatureAlgorithm(algorithm)
	answer, err := azure.Await(call, func() (azkeys.SignResponse, error) {
		return v.client.Sign(call, v.at.name, k.version, azkeys.SignParameters{Algorithm: &name, Value: digest}, nil)
	})
	if err == nil && rsa.VerifyPKCS1v15(k.public, algorithms[algorithm], digest, answer.Result) != nil {
		err = errSignature
	}
	if err != nil {
		return nil, v.explainSign(ctx, session, k, err)
	}
	return answer.Result, nil
}
