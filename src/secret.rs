//! A value that must not be seen: it has no `Display`, no `Serialize`, and is wiped when dropped.

use rand::RngExt;
use std::fmt;
use zeroize::Zeroizing;

/// A password or key. Only [`Secret::expose`] gives it out, so every use can be searched for.
///
/// It cannot become an argument of a program:
///
/// ```compile_fail
/// use authentik_install::{host::arg::Arg, secret::Secret};
/// let arg: Arg = Secret::generate(20).into();
/// ```
///
/// nor be printed:
///
/// ```compile_fail
/// println!("{}", authentik_install::secret::Secret::generate(20));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

const FIRST: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const REST: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Secret {
    /// Wraps a secret that exists already.
    pub fn new(value: String) -> Self {
        Secret(Zeroizing::new(value))
    }

    /// Makes `length` random letters and digits, the first a letter.
    ///
    /// authentik's parts read settings as JSON, as numbers and as URLs before they take them as
    /// text, and do not agree with each other; this alphabet is text to all of them.
    pub fn generate(length: usize) -> Self {
        let mut rng = rand::rng();
        let mut pick = |from: &[u8]| {
            let at = rng.random_range(0..from.len());
            char::from(from.get(at).copied().unwrap_or(b'A'))
        };
        let mut value = Zeroizing::new(String::with_capacity(length));
        value.push(pick(FIRST));
        for _ in 1..length {
            value.push(pick(REST));
        }
        Secret(value)
    }

    /// The plain value.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret out of the bytes of a file: exactly one final newline is dropped.
    ///
    /// # Errors
    /// In words, if some part of authentik would read the value as something else than this text.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.contains(['\n', '\r', '\0']) {
            return Err("it has more than one line".into());
        }
        if text.trim() != text {
            return Err("it begins or ends with a blank, which authentik drops".into());
        }
        Ok(Secret(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secrets_are_text_to_every_reader() {
        for _ in 0..500 {
            let secret = Secret::generate(20);
            let text = secret.expose();
            assert_eq!(text.len(), 20);
            assert!(text.starts_with(|c: char| c.is_ascii_alphabetic()));
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric()));
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
        }
    }

    #[test]
    fn file_bytes_lose_one_newline_and_nothing_else() {
        let read = |b: &[u8]| Secret::from_file_bytes(b).map(|s| s.expose().to_owned());
        assert_eq!(read(b"pass\n"), Ok("pass".into()));
        assert_eq!(read(b"pa ss"), Ok("pa ss".into()));
        assert!(read(b"pass\n\n").is_err());
        assert!(read(b" pass").is_err());
        assert!(read(b"").is_err());
        assert!(read(&[0xff]).is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "Secret(…)");
    }
}
