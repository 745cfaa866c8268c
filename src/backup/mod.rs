//! Backups: made, listed, proven, and thrown away when they are old.

mod access;
mod behind;
pub mod check;
pub mod chosen;
pub mod create;
pub mod export;
mod guide;
pub mod manifest;
pub mod offsite;
pub mod owner;
mod pack;
mod part;
pub mod restore;
pub mod retention;
pub mod settings;
pub mod shelf;
pub mod source;
pub mod swap;
mod unpack;

use crate::error::{Exit, Failure, Result};
use crate::host::Reader;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Said by the half that has to end because the other one failed.
const STOPPED: &str = "the other half failed";

/// Two halves of a work that are done at once, each of which ends when the other one fails.
struct Halves<'h> {
    host: &'h Reader,
    failed: AtomicBool,
}

impl<'h> Halves<'h> {
    fn new(host: &'h Reader) -> Self {
        Halves { host, failed: AtomicBool::new(false) }
    }

    /// Asked now and then by both.
    ///
    /// # Errors
    /// If the other half failed, or a signal came.
    fn go_on(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(io::Error::other(STOPPED));
        }
        self.host.go_on()
    }

    fn noting<T>(&self, ended: Result<T>) -> Result<T> {
        self.failed.fetch_or(ended.is_err(), Ordering::Relaxed);
        ended
    }

    /// Does both, and waits for both.
    ///
    /// # Errors
    /// That of the half that failed first; a signal as such.
    fn both<A: Send, B>(
        &self,
        one: impl FnOnce() -> Result<A> + Send,
        other: impl FnOnce() -> Result<B>,
    ) -> Result<(A, B)> {
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| self.noting(one()));
            let other = self.noting(other());
            let early = |_| Err(Failure::new("doing", "two things at once", "one ended early"));
            (one.join().unwrap_or_else(early), other)
        });
        if one.is_err() || other.is_err() {
            self.host.check_interrupt()?;
        }
        match (one, other) {
            (Ok(one), Ok(other)) => Ok((one, other)),
            // The one that failed first knows why.
            (Err(failure), Err(other)) if failure.summary().contains(STOPPED) => Err(other),
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        }
    }
}

fn damaged(what: &str, why: impl Into<String>) -> Failure {
    Failure::new("reading the backup's", what, why.into())
        .next("another one: authentik-install backup list")
        .exit(Exit::Damaged)
}

fn sized(name: &str, bytes: u64, wanted: &manifest::Sum) -> String {
    format!("{name} has {bytes} bytes, not {}", wanted.bytes)
}

fn no_key(what: &str, why: age::DecryptError) -> Failure {
    Failure::new("decrypting the backup's", what, why.to_string())
        .next("give the private key of one of its recipients: --identity FILE")
        .exit(Exit::NoKey)
}

#[cfg(test)]
mod tests {
    use super::manifest::{self, Authentik, Manifest, Postgresql};
    use crate::settings::Settings;
    use crate::settings::input::{DatabaseAuth, Input, UserNamespace};
    use crate::settings::resolve::OneTime;
    use std::path::Path;
    use std::time::Duration;

    pub fn settings(text: &str) -> Settings {
        let once = OneTime {
            settings_path: "/etc/authentik/install.toml".into(),
            image_archive: None,
            admin_password: None,
            deadline: Duration::from_secs(1),
        };
        let file = Input::from_toml(text, Path::new("t")).unwrap();
        Settings::resolve(Input::default(), (file, text), once).unwrap()
    }

    pub fn manifest() -> Manifest {
        Manifest {
            format: manifest::FORMAT,
            id: "20261125T041500Z-000000".into(),
            time: "2026-11-25T04:15:00Z".parse().unwrap(),
            took_ms: 1,
            program: "0".into(),
            host: "h".into(),
            domain: "a.example.com".into(),
            user: "authentik".into(),
            tag: None,
            quiesced: false,
            authentik: Authentik {
                version: "2026.8.3".into(),
                migrated_by: None,
                image: "x".into(),
                digest: None,
            },
            user_namespace: UserNamespace::Host,
            maps: None,
            database_auth: DatabaseAuth::Scram,
            postgresql: Postgresql {
                version: 170_000,
                database: "authentik".into(),
                role: "authentik".into(),
                encoding: "UTF8".into(),
                provider: "b".into(),
                locale: None,
                bytes: 1,
                extensions: Default::default(),
                schemas: Vec::new(),
                rows: Default::default(),
            },
            recipients: Vec::new(),
            parts: Vec::new(),
            trees: Vec::new(),
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn a_newer_shape_is_refused_and_an_own_one_read() {
        let text = serde_json::to_vec(&manifest()).unwrap();
        assert_eq!(Manifest::parse(&text, "m").unwrap(), manifest());
        let newer = br#"{"format": 99, "anything": true}"#;
        let failure = Manifest::parse(newer, "m").unwrap_err().to_string();
        assert!(failure.contains("format 99") && failure.contains("newer"), "{failure}");
    }
}
