//! Secrets that somebody hands in, and what authentik's parts would read as something else.

use crate::secret::Secret;

/// Secrets that were handed in; what is not is generated.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Signs sessions and links.
    pub secret_key: Option<Secret>,
    /// Of the PostgreSQL role.
    pub database_password: Option<Secret>,
    /// Of Valkey.
    pub cache_password: Option<Secret>,
    /// Of the mail account.
    pub smtp_password: Option<Secret>,
}

/// authentik takes at most 99 characters (install-config/install/docker-compose, "PG_PASS").
const DATABASE_PASSWORD_MAX: usize = 99;

/// Refuses a value that some part of authentik would not read as this very text.
///
/// Every setting goes through a JSON parser in Python, through a number parser in Rust, and through
/// a URL parser in both (measured with 2025.8.6, 2025.12.4 and 2026.8.0-rc1).
///
/// # Errors
/// In words.
pub fn readable(secret: &Secret) -> Result<(), String> {
    let text = secret.expose();
    if text.chars().any(char::is_control) {
        return Err("it has a control character".into());
    }
    if !text.is_ascii() {
        return Err(
            "it has characters beyond ASCII, which PostgreSQL and authentik may normalise \
                    differently"
                .into(),
        );
    }
    if text.starts_with("env:") || text.starts_with("file:") {
        return Err(
            "it begins as a reference to another value, which authentik would follow".into()
        );
    }
    if text.contains("//[") {
        return Err("it has '//[', at which authentik's URL parser stops".into());
    }
    let constant = ["nan", "inf", "infinity", "true", "false", "null"];
    let bare = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if serde_json::from_str::<serde_json::Value>(text).is_ok()
        || text.parse::<f64>().is_ok()
        || constant.contains(&bare.as_str())
        || text.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return Err(
            "it reads as a number or as JSON, and some part of authentik would take it so".into()
        );
    }
    Ok(())
}

/// As [`readable`], for the password of the database.
///
/// # Errors
/// In words.
pub fn database_password(secret: &Secret) -> Result<(), String> {
    if secret.expose().len() > DATABASE_PASSWORD_MAX {
        return Err(format!("it has more than {DATABASE_PASSWORD_MAX} characters"));
    }
    readable(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_text_to_every_part_is_refused() {
        for bad in [
            "12345",
            "00123456",
            "1e5",
            "12345e6",
            "1.50",
            "-5",
            "true",
            "null",
            "NaN",
            "Infinity",
            "-inf",
            "\"quoted\"",
            "[1]",
            "{}",
            "env:X",
            "file:///x",
            "x://[abc",
            "//[ab",
            "a\tb",
            "pässword",
        ] {
            assert!(readable(&Secret::new(bad.into())).is_err(), "{bad}");
        }
        for good in
            ["p%a$s ${X}", "a@b:c/d#e", "it's \"so\"", "back\\slash", "a=b,c+d", "1a", "x y z"]
        {
            assert_eq!(readable(&Secret::new(good.into())), Ok(()), "{good}");
        }
        assert!(database_password(&Secret::new(format!("a{}", "b".repeat(99)))).is_err());
    }
}
