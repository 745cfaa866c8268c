//! The environment file: what may hold any character, read by `podman --env-file`, where a line is
//! taken as it is.

use crate::settings::Settings;
use crate::settings::input::Encryption;
use std::fmt::Write;

const HEAD: &str = "# Written by authentik-install. Change /etc/authentik/install.toml and run `authentik-install install`.\n";

pub(super) fn text(settings: &Settings) -> String {
    let mut out = HEAD.to_owned();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name}={value}");
    };
    for (name, value) in mail(settings) {
        line(&format!("AUTHENTIK_EMAIL__{name}"), &value);
    }
    for (name, value) in &settings.env {
        line(name.as_str(), value.as_str());
    }
    out
}

fn mail(settings: &Settings) -> Vec<(&'static str, String)> {
    let mail = &settings.email;
    let Some(host) = &mail.host else { return Vec::new() };
    let encryption = mail.encryption.unwrap_or(Encryption::Starttls);
    let usual = match encryption {
        Encryption::Starttls => 587,
        Encryption::Tls => 465,
        Encryption::None => 25,
    };
    let mut lines = vec![
        ("HOST", host.to_string()),
        ("PORT", mail.port.unwrap_or(usual).to_string()),
        ("USE_TLS", (encryption == Encryption::Starttls).to_string()),
        ("USE_SSL", (encryption == Encryption::Tls).to_string()),
        ("TIMEOUT", mail.timeout.unwrap_or(10).to_string()),
    ];
    if let Some(from) = &mail.from {
        lines.push(("FROM", from.to_string()));
    }
    if let Some(name) = &mail.username {
        lines.push(("USERNAME", name.to_string()));
        lines.push(("PASSWORD", "file:///run/authentik/smtp_password".to_owned()));
    }
    lines
}
