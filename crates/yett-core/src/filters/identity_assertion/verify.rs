//! The other side: whether a signature is that of a key. For services in Python, which have no crypto library otherwise.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};

/// Whether `signature` is that of `message` under the public key: 32 bytes for `EdDSA` (RFC 8032), an uncompressed point
/// for `ES256` (SEC 1 section 2.3.3).
///
/// # Errors
/// Another algorithm.
pub fn verify_signature(algorithm: &str, key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    let algorithm: &dyn VerificationAlgorithm = match algorithm {
        "EdDSA" => &ED25519,
        "ES256" => &ECDSA_P256_SHA256_FIXED,
        other => return Err(format!("`{other}` signs no assertion; write `EdDSA` or `ES256`")),
    };
    Ok(UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
}
