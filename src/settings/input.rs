//! The settings as they are written: every one optional, nothing decided yet.
//!
//! One list of keys makes both the layers that are read (`Input`: flags, file, defaults) and what
//! comes of them (`Values`). What each key means stands in `embedded/settings/install.toml`.

use crate::error::{Exit, Failure, Result};
use crate::names::{
    AbsPath, Calendar, Domain, Email, EnvName, EnvValue, HostName, ImageName, MailFrom, PgName,
    Port, Recipient, Repository, UserName, Version,
};
use crate::text::redact::Redactor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// An enum whose words are the same in the file, on the command line and in print.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] #[value(name = $word)] $variant,)*
        }

        impl $name {
            /// The word as it stands in files.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// How the proxy gets its certificate.
    Tls {
        /// A public certificate by ACME: the domain must point here and port 80 or 443 be reachable.
        Acme = "acme",
        /// Caddy's own authority, for private names: clients must trust its root.
        Internal = "internal",
        /// Files that somebody else renews.
        Files = "files",
    }
}

words! {
    /// What the image's user is on the host.
    UserNamespace {
        /// A subordinate id.
        Host = "host",
        /// The service user itself.
        KeepId = "keep-id",
    }
}

words! {
    /// How authentik logs in to PostgreSQL.
    DatabaseAuth {
        /// With a password.
        Scram = "scram",
        /// Without one: the kernel tells who it is.
        Peer = "peer",
    }
}

words! {
    /// How mail is encrypted on its way to the mail server.
    Encryption {
        /// After the greeting.
        Starttls = "starttls",
        /// From the first byte.
        Tls = "tls",
        /// Not at all.
        None = "none",
    }
}

macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $input:ident / $values:ident {
            keys { $($key:ident: $type:ty,)* }
            tables { $($table:ident: $inner_input:ident / $inner_values:ident,)* }
        }
    )*) => {$(
        $(#[$doc])*
        /// As it was written.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "embedded/settings/install.toml explains the keys")]
        pub struct $input {
            $(pub $key: Option<$type>,)*
            $(pub $table: $inner_input,)*
        }

        $(#[$doc])*
        /// As it is in effect.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "embedded/settings/install.toml explains the keys")]
        pub struct $values {
            $(pub $key: $type,)*
            $(pub $table: $inner_values,)*
        }

        impl $input {
            const NAMES: &'static [&'static str] =
                &[$(stringify!($key),)* $(stringify!($table),)*];
        }
    )*};
}

settings! {
    /// The top of `install.toml`.
    Input / Values {
        keys {
            domain: Domain,
            version: Version,
            image: ImageName,
            admin_email: Option<Email>,
            user: UserName,
            user_namespace: UserNamespace,
            allow_unsupported_line: bool,
            allow_unknown_line: bool,
            update_check: bool,
            http_port: Port,
            https_port: Option<Port>,
            data_dir: AbsPath,
            media_dir: Option<AbsPath>,
            templates_dir: AbsPath,
            certs_dir: AbsPath,
            secret_key_file: Option<AbsPath>,
            env: BTreeMap<EnvName, EnvValue>,
        }
        tables {
            service: ServiceInput / Service,
            database: DatabaseInput / Database,
            cache: CacheInput / Cache,
            proxy: ProxyInput / Proxy,
            email: EmailInput / Mail,
            web: WebInput / Web,
            verify: VerifyInput / Verify,
            notify: NotifyInput / Notify,
            backup: BackupInput / Backup,
        }
    }

    /// `[service]`
    ServiceInput / Service {
        keys { enabled: bool, started: bool, }
        tables {}
    }

    /// `[database]`
    DatabaseInput / Database {
        keys { name: PgName, user: PgName, auth: DatabaseAuth, password_file: Option<AbsPath>, }
        tables {}
    }

    /// `[cache]`
    CacheInput / Cache {
        keys { database: Option<u16>, password_file: Option<AbsPath>, }
        tables {}
    }

    /// `[proxy]`
    ProxyInput / Proxy {
        keys {
            enabled: bool,
            tls: Tls,
            acme_email: Option<Email>,
            certificate: Option<AbsPath>,
            key: Option<AbsPath>,
        }
        tables {}
    }

    /// `[email]`
    EmailInput / Mail {
        keys {
            host: Option<HostName>,
            port: Option<u16>,
            username: Option<EnvValue>,
            password_file: Option<AbsPath>,
            encryption: Option<Encryption>,
            from: Option<MailFrom>,
            timeout: Option<u16>,
        }
        tables {}
    }

    /// `[web]`
    WebInput / Web {
        keys { workers: u16, threads: u16, }
        tables {}
    }

    /// `[verify]`
    VerifyInput / Verify {
        keys { enabled: bool, schedule: Calendar, prometheus_file: Option<AbsPath>, }
        tables {}
    }

    /// `[backup]`
    BackupInput / Backup {
        keys {
            enabled: bool,
            dir: AbsPath,
            schedule: Calendar,
            deep_schedule: Calendar,
            recipients: Vec<Recipient>,
            keep_last: u16,
            keep_daily: u16,
            keep_weekly: u16,
            keep_monthly: u16,
            keep_yearly: u16,
            keep_replaced: u16,
            prometheus_file: Option<AbsPath>,
        }
        tables { offsite: OffsiteInput / Offsite, }
    }

    /// `[backup.offsite]`
    OffsiteInput / Offsite {
        keys {
            command: Option<AbsPath>,
            repository: Option<Repository>,
            password_file: Option<AbsPath>,
            environment_file: Option<AbsPath>,
        }
        tables {}
    }

    /// `[notify]`
    NotifyInput / Notify {
        keys { command: Option<AbsPath>, webhook_file: Option<AbsPath>, }
        tables {}
    }
}

const TABLES: [&[&str]; 11] = [
    Input::NAMES,
    ServiceInput::NAMES,
    DatabaseInput::NAMES,
    CacheInput::NAMES,
    ProxyInput::NAMES,
    EmailInput::NAMES,
    WebInput::NAMES,
    VerifyInput::NAMES,
    NotifyInput::NAMES,
    BackupInput::NAMES,
    OffsiteInput::NAMES,
];

impl Input {
    /// Reads the text of a settings file.
    ///
    /// # Errors
    /// With line and column, and the nearest known key if one is unknown.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        toml_edit::de::from_str(text).map_err(|error| {
            // It quotes the line, where somebody may have written what belongs nowhere.
            let said = Redactor::new([]).clean(&error.to_string());
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
    TABLES
        .into_iter()
        .flatten()
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
        for (line, what) in [
            ("version = \"latest\"", "2026.8.3"),
            ("http_port = 80", "1024"),
            ("user_namespace = \"auto\"", "keep-id"),
            ("data_dir = \"data\"", "absolute"),
            ("env = { LOG_LEVEL = \"info\" }", "AUTHENTIK_"),
            ("env = { AUTHENTIK_A = \"b\\nC=d\" }", "one line"),
        ] {
            let text = read(&format!("\n{line}")).unwrap_err().to_string();
            assert!(text.contains("line 2") && text.contains(what), "{text}");
        }
    }
}
