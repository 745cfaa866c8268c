//! Names that are checked once and then carried by type.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    };
}

mod domain;
mod host;
mod recipient;

pub use domain::Domain;
pub use host::{AbsPath, Calendar, EnvName, EnvValue, HostName, MailFrom, Port, UserName};
pub use recipient::{Recipient, Repository};

name! {
    /// A mail address.
    Email
}

impl FromStr for Email {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_graphic() && !"@\"\\{}#`".contains(c))
        };
        match text.split_once('@') {
            Some((user, host)) if fits(user) && fits(host) && host.contains('.') => {
                Ok(Email(text.to_owned()))
            }
            _ => Err(format!("'{text}' is not a mail address")),
        }
    }
}

name! {
    /// A PostgreSQL role or database that needs no quoting anywhere.
    PgName
}

impl FromStr for PgName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let keyword = ["all", "replication", "sameuser", "samerole", "postgres"].contains(&text);
        if !first || !rest || text.len() > 63 || keyword || text.starts_with("pg_") {
            return Err(format!(
                "'{text}' does not do as a PostgreSQL name: lower-case letters, digits and _, \
                 at most 63, none of PostgreSQL's own words"
            ));
        }
        Ok(PgName(text.to_owned()))
    }
}

name! {
    /// A full version of authentik, as in `2026.8.3`. Never a moving tag.
    Version
}

impl Version {
    /// The release line, as in `2026.8`.
    pub fn line(&self) -> &str {
        self.0.rsplit_once('.').map_or(self.0.as_str(), |(line, _)| line)
    }
}

impl FromStr for Version {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = semver::Version::parse(text).map_err(|_| {
            format!(
                "'{text}' is not a full version: give year, line and patch, as in 2026.8.3 \
                 (a tag such as 'latest' or '2026.8' moves without a backup)"
            )
        })?;
        if numbers.major < 2024 || !numbers.pre.is_empty() || !numbers.build.is_empty() {
            return Err(format!("'{text}' is not a released version of authentik"));
        }
        Ok(Version(text.to_owned()))
    }
}

name! {
    /// An image without tag or digest, by its full name: `ghcr.io/goauthentik/server`.
    ImageName
}

impl FromStr for ImageName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| Err(format!("'{text}' is not an image name: {why}"));
        let Some((registry, path)) = text.split_once('/') else {
            return bad("it needs its registry, as in ghcr.io/goauthentik/server");
        };
        let host = registry.split(':').next().unwrap_or_default();
        if !(host.contains('.') || host == "localhost") {
            return bad("it needs its registry, as in ghcr.io/goauthentik/server");
        }
        if path.contains(':') || path.contains('@') {
            return bad("the tag is the version: give it with --version");
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if path.is_empty() || !path.chars().all(fits) || registry.contains(['@', ' ']) {
            return bad("it has characters that no image name has");
        }
        Ok(ImageName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_full_and_released() {
        let version: Version = "2026.8.3".parse().unwrap();
        assert_eq!(version.line(), "2026.8");
        for bad in ["latest", "2026.8", "2026.8.3-rc1", "1.2.3", "2026.08.3", "v2026.8.3", ""] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn images_are_named_in_full() {
        for good in
            ["ghcr.io/goauthentik/server", "localhost:5000/authentik", "docker.io/authentik/server"]
        {
            assert!(good.parse::<ImageName>().is_ok(), "{good}");
        }
        for bad in [
            "authentik/server",
            "server",
            "ghcr.io/goauthentik/server:2026.8.3",
            "ghcr.io/a@sha256:00",
            "ghcr.io/A",
        ] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn postgresql_names_need_no_quotes() {
        assert!("authentik".parse::<PgName>().is_ok());
        for bad in ["", "Auth", "a-b", "1a", "all", "pg_x", "postgres", "a\"b"] {
            assert!(bad.parse::<PgName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn mail_addresses() {
        assert!("admin@example.com".parse::<Email>().is_ok());
        for bad in ["admin", "a@b", "a b@c.d", "a@b.c\nX", "{env.X}@c.d"] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
