//! Names of the host: users, ports, paths, variables.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

name! {
    /// A system user, as `useradd` takes it.
    UserName
}

impl FromStr for UserName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest =
            bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !first || !rest || text.len() > 31 || text == "root" || text == "postgres" {
            return Err(format!(
                "'{text}' does not do as the name of a system user of its own: lower-case letters, \
                 digits, _ and -, at most 31"
            ));
        }
        Ok(UserName(text.to_owned()))
    }
}

name! {
    /// An absolute path that needs no quoting in a unit, a Quadlet volume or a Caddyfile.
    AbsPath
}

impl AbsPath {
    /// As a path.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl FromStr for AbsPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_alphanumeric() || "/._-+@=".contains(c);
        let parts =
            text.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
        if !text.starts_with('/') || text.len() > 200 || !parts || !text.chars().all(fits) {
            return Err(format!(
                "'{}' does not do as a path here: absolute, no '..', letters, digits and ._-+@= alone",
                text.escape_debug()
            ));
        }
        Ok(AbsPath(text.to_owned()))
    }
}

name! {
    /// When a timer of systemd fires (systemd.time(7), "Calendar Events"), as in `*-*-* 04:00`.
    /// Whether it means something is systemd's to say.
    Calendar
}

impl FromStr for Calendar {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || " *:/,.-~_+".contains(c);
        if text.trim() != text || text.is_empty() || text.len() > 100 || !text.chars().all(fits) {
            return Err(format!(
                "'{}' is not a calendar expression of systemd, as in \"*-*-* 04:00\" or \"hourly\"",
                text.escape_debug()
            ));
        }
        Ok(Calendar(text.to_owned()))
    }
}

name! {
    /// A host name or address to connect to.
    HostName
}

impl FromStr for HostName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if text.is_empty() || text.len() > 253 || !text.chars().all(fits) {
            return Err(format!("'{}' is not a host name or address", text.escape_debug()));
        }
        Ok(HostName(text.to_owned()))
    }
}

name! {
    /// What mail says it is from: an address, or `Name <address>`.
    MailFrom
}

impl FromStr for MailFrom {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.split_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(format!("'{}' has characters that no sender has", text.escape_debug()));
        }
        match address.split_once('@') {
            Some((user, host))
                if !user.is_empty() && !host.is_empty() && !address.contains(' ') =>
            {
                Ok(MailFrom(text.to_owned()))
            }
            _ => Err(format!("'{text}' is not a mail address, nor 'Name <address>'")),
        }
    }
}

name! {
    /// A setting of authentik, as in `AUTHENTIK_LOG_LEVEL`.
    EnvName
}

impl FromStr for EnvName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        match text.strip_prefix("AUTHENTIK_") {
            Some(rest) if !rest.is_empty() && rest.chars().all(fits) => {
                Ok(EnvName(text.to_owned()))
            }
            _ => Err(format!(
                "'{}' is not a setting of authentik: they begin with AUTHENTIK_ and have capital \
                 letters, digits and _ alone",
                text.escape_debug()
            )),
        }
    }
}

name! {
    /// The value of a setting: one line.
    EnvValue
}

impl FromStr for EnvValue {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("a value of [env] is one line without control characters".into());
        }
        Ok(EnvValue(text.to_owned()))
    }
}

/// A TCP port that a rootless container can be published on: 1024 or above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct Port(u16);

impl Port {
    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Port {
    type Error = String;
    fn try_from(number: u16) -> Result<Self, String> {
        if number < 1024 {
            return Err(format!("port {number} is for root alone: choose one of 1024 or above"));
        }
        Ok(Port(number))
    }
}

impl FromStr for Port {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<u16>().map_err(|_| format!("'{text}' is not a port"))?.try_into()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits<T: FromStr>(good: &[&str], bad: &[&str]) {
        good.iter().for_each(|text| assert!(text.parse::<T>().is_ok(), "{text}"));
        bad.iter().for_each(|text| assert!(text.parse::<T>().is_err(), "{text:?}"));
    }

    #[test]
    fn what_could_break_out_of_its_place_is_refused() {
        fits::<UserName>(&["authentik", "_a-1"], &["", "Root", "root", "a b", "1a", "a:b", "a$"]);
        fits::<AbsPath>(
            &["/srv/authentik", "/mnt/a_b-c.d"],
            &["", "srv", "/", "/a/../b", "/a:b", "/a b", "/a%h", "/a\n", "//a", "/a/", "/a,b"],
        );
        fits::<HostName>(&["mail.example.com", "10.0.0.1", "[::1]"], &["", "a b", "a/b", "a\n"]);
        fits::<MailFrom>(&["a@b.c", "authentik <a@b.c>"], &["", "a", "a@b\nBcc: x", "x <>"]);
        fits::<EnvName>(
            &["AUTHENTIK_LOG_LEVEL"],
            &["LOG_LEVEL", "AUTHENTIK_", "AUTHENTIK_a", "A=B"],
        );
        fits::<EnvValue>(&["", "a b % $x"], &["a\nB=c"]);
        fits::<Port>(&["1024", "65535"], &["80", "0", "65536", "x"]);
    }
}
