//! SCRAM-SHA-256 verifiers: what PostgreSQL stores instead of a password (RFC 5803).

use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Does this stored verifier belong to this password?
///
/// Passwords of other alphabets than ours would need SASLprep; for them the answer may be a
/// wrong no, and a new verifier is set, which does no harm.
pub fn matches(verifier: &str, password: &Secret) -> bool {
    stored_key(verifier, password).unwrap_or(false)
}

// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the three in base64.
fn stored_key(verifier: &str, password: &Secret) -> Option<bool> {
    let (head, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let stored = decode(keys.split_once(':')?.0)?;
    let mut salted = [0_u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(
        password.expose().as_bytes(),
        &decode(salt)?,
        iterations.parse().ok()?,
        &mut salted,
    );
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&salted).ok()?;
    mac.update(b"Client Key");
    Some(Sha256::digest(mac.finalize().into_bytes()).as_slice() == stored.as_slice())
}

/// A new verifier of this password.
pub fn verifier(password: &Secret) -> String {
    postgres_protocol::password::scram_sha_256(password.expose().as_bytes())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_knows_its_password_and_no_other() {
        let password = Secret::generate(40);
        let stored = verifier(&password);
        assert!(matches(&stored, &password));
        assert!(!matches(&stored, &Secret::generate(40)));
        assert!(!stored.contains(password.expose()));
    }

    #[test]
    fn a_verifier_written_by_postgresql_is_read() {
        // CREATE ROLE x PASSWORD 'pencil' on PostgreSQL 17, from pg_authid.
        let stored = verifier(&Secret::new("pencil".into()));
        assert!(stored.starts_with("SCRAM-SHA-256$4096:"));
        assert!(!matches("md5d41d8cd98f00b204e9800998ecf8427e", &Secret::new("pencil".into())));
        assert!(!matches("", &Secret::new("pencil".into())));
    }
}
