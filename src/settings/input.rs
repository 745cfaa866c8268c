//! The settings as they are written: every one optional, nothing decided yet.

use crate::error::{Exit, Failure, Result};
use crate::names::{Domain, Email, ImageName, PgName, Version};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How the proxy gets its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// A public certificate by ACME: the domain must point here and port 80 or 443 be reachable.
    Acme,
    /// Caddy's own authority, for private names: clients must trust its root.
    Internal,
}

impl Tls {
    /// The word as it stands in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Tls::Acme => "acme",
            Tls::Internal => "internal",
        }
    }
}

/// `install.toml`, or the flags: the same names in both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// Public host name.
    pub domain: Option<Domain>,
    /// Version of authentik.
    pub version: Option<Version>,
    /// Image without tag.
    pub image: Option<ImageName>,
    /// Mail address of the first administrator.
    pub admin_email: Option<Email>,
    /// `[proxy]`
    pub proxy: ProxyInput,
    /// `[database]`
    pub database: DatabaseInput,
}

/// The table `[proxy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyInput {
    /// How the certificate is had.
    pub tls: Option<Tls>,
    /// Mail address for the ACME account.
    pub acme_email: Option<Email>,
}

/// The table `[database]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseInput {
    /// Name of the database.
    pub name: Option<PgName>,
    /// Name of the role.
    pub user: Option<PgName>,
}

const KEYS: &[&str] = &[
    "domain",
    "version",
    "image",
    "admin_email",
    "proxy",
    "database",
    "tls",
    "acme_email",
    "name",
    "user",
];

impl Input {
    /// Reads the text of a settings file.
    ///
    /// # Errors
    /// With line and column, and the nearest known key if one is unknown.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        toml_edit::de::from_str(text).map_err(|error| {
            let said = error.to_string();
            let failure = Failure::new("reading the settings", path.display(), said.trim_end());
            match unknown_key(&said).and_then(nearest) {
                Some(near) => failure.next(format!("did you mean '{near}'?")),
                None => failure.next(format!("correct {} and run again", path.display())),
            }
            .exit(Exit::Usage)
        })
    }
}

fn unknown_key(message: &str) -> Option<&str> {
    message.split_once("unknown field `")?.1.split('`').next()
}

fn nearest(key: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|known| (strsim::jaro_winkler(key, known), *known))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Input> {
        Input::from_toml(text, Path::new("install.toml"))
    }

    #[test]
    fn everything_is_optional() {
        assert_eq!(read("").unwrap(), Input::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_suggestion() {
        let failure =
            read("domain = \"a.example.com\"\n[proxy]\nacme_mail = \"a@b.c\"\n").unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("line 3"), "{text}");
        assert!(text.contains("acme_email"), "{text}");
        assert_eq!(failure.exit_code(), Exit::Usage);
    }

    #[test]
    fn a_bad_value_is_refused_with_its_line() {
        let text = read("\nversion = \"latest\"\n").unwrap_err().to_string();
        assert!(text.contains("line 2") && text.contains("2026.8.3"), "{text}");
    }
}
