//! The public name of the login.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

name! {
    /// The public name of the login, as in `auth.example.com`, with a port if it is not 443.
    Domain
}

impl Domain {
    /// The name without the port; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.0,
        }
    }

    /// The TCP port that browsers use.
    pub fn port(&self) -> u16 {
        self.0.strip_prefix(self.host()).and_then(|rest| rest.get(1..)?.parse().ok()).unwrap_or(443)
    }

    /// The address that it is, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        address(self.host())
    }

    /// Can a public authority certify it? Not an address, and not a name of this machine alone.
    pub fn is_public(&self) -> bool {
        let host = self.host();
        let local = host == "localhost"
            || [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test", ".invalid"]
                .iter()
                .any(|end| host.ends_with(end));
        !local && address(host).is_none()
    }
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

// The host in its own form: lower case, no final dot, IDN as xn--.
fn normal_host(text: &str) -> Result<String, String> {
    if text.starts_with('[') {
        return match address(text) {
            Some(IpAddr::V6(v6)) => Ok(format!("[{v6}]")),
            _ => Err("what is in brackets is not an IPv6 address".into()),
        };
    }
    if let Some(address) = address(text) {
        return match address {
            IpAddr::V4(v4) => Ok(v4.to_string()),
            IpAddr::V6(v6) => Err(format!("write an IPv6 address in brackets: [{v6}]")),
        };
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let host = idna::domain_to_ascii_strict(text)
        .map_err(|_| "its parts are letters, digits and hyphens, at most 63 each".to_owned())?;
    if host.is_empty() || host.ends_with('.') || host.len() > 253 {
        return Err("it needs a name of at most 253 characters".into());
    }
    if host.split('.').next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err("it looks like an IP address and is none".into());
    }
    if !host.contains('.') && host != "localhost" {
        return Err("it needs a dot".into());
    }
    Ok(host)
}

fn normal(text: &str) -> Result<String, String> {
    if text.contains("://") || text.contains('/') {
        return Err("give the name alone, as in auth.example.com".into());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host = normal_host(host)?;
    match port.map(|port| (port, port.parse::<u16>())) {
        None | Some((_, Ok(443))) => Ok(host),
        Some((digits, Ok(port))) if port != 0 && !digits.starts_with(['0', '+']) => {
            Ok(format!("{host}:{port}"))
        }
        Some((port, _)) => Err(format!("'{port}' is not a port")),
    }
}

// What was probably meant.
fn corrected(text: &str) -> Option<String> {
    let text = text.trim().split_once("://").map_or(text.trim(), |(_, rest)| rest);
    let text = text.split(['/', '?', '#']).next().unwrap_or(text).replace('_', "-");
    normal(&text.chars().filter(|c| !c.is_whitespace()).collect::<String>()).ok()
}

impl FromStr for Domain {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        normal(text).map(Domain).map_err(|why| {
            let meant = corrected(text).filter(|meant| meant != text);
            let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
            format!("'{}' is not a host name: {why}{meant}", text.escape_debug())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Domain>().map(|domain| domain.as_str().to_owned())
    }

    #[test]
    fn names_come_into_their_own_form() {
        for (typed, meant) in [
            ("Auth.Example.COM", "auth.example.com"),
            ("auth.example.com.", "auth.example.com"),
            ("auth.bücher.example", "auth.xn--bcher-kva.example"),
            ("auth.example.com:8443", "auth.example.com:8443"),
            ("auth.example.com:443", "auth.example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(read(typed).as_deref(), Ok(meant), "{typed}");
        }
    }

    #[test]
    fn what_could_break_out_is_refused_with_the_corrected_form() {
        for (typed, meant) in [
            ("https://auth.example.com", "auth.example.com"),
            ("auth.example.com/if/", "auth.example.com"),
            ("auth_x.example.com", "auth-x.example.com"),
            (" auth.example.com", "auth.example.com"),
            ("2001:db8::1", "[2001:db8::1]"),
        ] {
            assert!(read(typed).unwrap_err().contains(meant), "{typed}: {:?}", read(typed));
        }
        for bad in [
            "",
            ".",
            "auth",
            "a..b",
            "-a.b",
            "a-.b",
            "a b.c",
            "a.b:0",
            "a.b:99999",
            "a.b:x",
            "a{b}.c",
            "a.b\nx",
            "a\"b.c",
            "a.b;c",
            "a.1",
            "300.1.1.1",
            "[a]",
            "%h.example.com",
            "$x.example.com",
            "auth.example.com..",
            "a.b:+80",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(&format!("{}.example.com", "a".repeat(64))).is_err());
    }

    #[test]
    fn host_port_and_public() {
        let domain = |text: &str| text.parse::<Domain>().unwrap();
        assert_eq!(
            (domain("a.b.com:8443").host(), domain("a.b.com:8443").port()),
            ("a.b.com", 8443)
        );
        assert_eq!((domain("[::1]").host(), domain("[::1]").port()), ("[::1]", 443));
        assert_eq!(domain("[::1]:444").port(), 444);
        assert!(domain("auth.example.com:8443").is_public());
        for local in ["localhost", "10.0.0.1", "[::1]:444", "auth.lan"] {
            assert!(!domain(local).is_public(), "{local}");
        }
    }
}
