//! The rule in pg_hba.conf that lets the role log in over the socket, by password or by peer.
//!
//! The first record that matches decides and there is no falling through, so ours stands above all
//! others. A file with an error would keep the server from its next start: the server itself is
//! asked what it reads in the file before it is told to load it, and a real login proves the rest.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::files::FileNow;
use crate::host::postgres::{Login, Server};
use crate::host::{Reader, Writer};
use crate::names::PgName;
use crate::resource::role::read_secret;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict, unified};
use crate::text::block::{self, Place};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The rule.
#[derive(Debug)]
pub struct Hba {
    /// The server.
    pub server: Server,
    /// Which database.
    pub database: PgName,
    /// Which role.
    pub role: PgName,
    /// By what it logs in.
    pub by: By,
}

/// What a login is proven by.
#[derive(Debug, Clone)]
pub enum By {
    /// The password in this file.
    Password(PathBuf),
    /// The kernel's word that it is this system user.
    Peer(String),
}

impl By {
    fn method(&self) -> &'static str {
        match self {
            By::Password(_) => "scram-sha-256",
            By::Peer(_) => "peer",
        }
    }

    fn shown(&self) -> &'static str {
        match self {
            By::Password(_) => "by password",
            By::Peer(_) => "as the system user of its name",
        }
    }
}

/// A record as the server reads it: a row of `pg_hba_file_rules`.
#[derive(Debug, Clone, Deserialize)]
pub struct Rule {
    line: Option<u32>,
    kind: Option<String>,
    database: Option<Vec<String>>,
    user: Option<Vec<String>>,
    method: Option<String>,
    options: Option<Vec<String>>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rules {
    rules: Option<Vec<Rule>>,
    /// Nanoseconds since 1970.
    loaded: i128,
}

/// When the server has loaded its files: nanoseconds since 1970.
const LOADED: &str = "(extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint * 1000";

/// Has the server loaded the file as it is? True of one that is not there.
///
/// # Errors
/// If the server gives no answer, or the file cannot be read.
pub fn is_loaded(host: &Reader, server: &Server) -> Result<bool> {
    let Some(file) = host.read_as(&server.owner, &server.hba_file)? else { return Ok(true) };
    let loaded: Option<i64> =
        host.query(server, "postgres", &format!("SELECT to_json({LOADED})"))?;
    Ok(loaded.is_some_and(|loaded| i128::from(loaded) >= file.meta.modified))
}

/// Has the server load its files, and waits until it has.
///
/// # Errors
/// If it does not.
pub fn reload(host: &Writer<'_>, server: &Server) -> Result<()> {
    host.sql(server, "postgres", "SELECT pg_reload_conf()")?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if is_loaded(host, server)? {
            return Ok(());
        }
        host.pause(Duration::from_millis(100))?;
    }
    let why = "the server did not load it within 10 s";
    Err(Failure::new("loading", server.hba_file.display(), why))
}

/// The file, what the server reads in it, and whether it has loaded it.
#[derive(Debug)]
pub struct Found {
    file: Option<FileNow>,
    rules: Vec<Rule>,
    loaded: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Put our record above all others, load, prove.
    Insert(FileNow, String),
    /// The file is right, the server has not loaded it.
    Reload,
}

impl Rule {
    fn matches(&self, database: &PgName, role: &PgName) -> bool {
        let has = |list: &Option<Vec<String>>, name: &str, more: &[&str]| {
            list.iter().flatten().any(|entry| entry == name || more.contains(&entry.as_str()))
        };
        self.kind.as_deref() == Some("local")
            && has(
                &self.database,
                database.as_str(),
                if database == role { &["all", "sameuser"] } else { &["all"] },
            )
            && has(&self.user, role.as_str(), &["all"])
    }

    fn lets_in(&self, by: &By) -> bool {
        match (by, self.method.as_deref()) {
            // "md5" also takes a SCRAM verifier (PostgreSQL manual, 20.5 Password Authentication).
            (By::Password(_), method) => matches!(method, Some("scram-sha-256" | "md5")),
            // With a map other names may be meant.
            (By::Peer(_), Some("peer")) => self.options.as_ref().is_none_or(Vec::is_empty),
            (By::Peer(_), _) => false,
        }
    }
}

impl Hba {
    fn record(&self) -> String {
        format!("local {} {} {}", self.database, self.role, self.by.method())
    }

    fn fits(&self, rules: &[Rule]) -> bool {
        rules
            .iter()
            .find(|rule| rule.matches(&self.database, &self.role))
            .is_some_and(|rule| rule.lets_in(&self.by))
    }

    fn rules(&self, host: &Reader) -> Result<Rules> {
        let sql = format!(
            "SELECT json_build_object(
            'loaded', {LOADED},
            'rules', (SELECT json_agg(json_build_object('line', line_number, 'kind', type,
                'database', database, 'user', user_name, 'method', auth_method, 'options', options, 'error', error))
                FROM pg_hba_file_rules))"
        );
        host.query(&self.server, "postgres", &sql)?.ok_or_else(|| {
            Failure::new("reading", "pg_hba_file_rules", "the server gave no answer")
        })
    }

    fn look(&self, host: &Reader) -> Result<Found> {
        let file = host.read_as(&self.server.owner, &self.server.hba_file)?;
        let rules = self.rules(host)?;
        let loaded = file.as_ref().is_some_and(|file| rules.loaded >= file.meta.modified);
        Ok(Found { file, rules: rules.rules.unwrap_or_default(), loaded })
    }

    // What the server says of the new file, before and after it is loaded.
    fn prove(&self, host: &Writer<'_>) -> Result<()> {
        let bad = |why: String| Failure::new("changing", self.server.hba_file.display(), why);
        let found = self.look(host)?;
        if let Some(error) = found.rules.iter().find_map(|rule| rule.error.clone()) {
            return Err(bad(format!("the server reads an error in it: {error}")));
        }
        if !self.fits(&found.rules) {
            return Err(bad("another record still comes first".into()));
        }
        reload(host, &self.server)?;
        let (database, role) = (self.database.as_str(), self.role.as_str());
        let login = match &self.by {
            By::Password(path) => match read_secret(host, path)? {
                Some(password) => host.login(&self.server, database, role, &password),
                None => return Err(bad(format!("{} is missing", path.display()))),
            },
            By::Peer(user) => match host.account(user)? {
                Some(account) => host.login_as(&self.server, &account, database, role)?,
                None => return Err(bad(format!("the user {user} is missing"))),
            },
        };
        match login {
            Login::Accepted => Ok(()),
            Login::Refused(why) => Err(bad(format!("the login of {} failed: {why}", self.role))),
        }
    }
}

impl Resource for Hba {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("hba", self.server.hba_file.display())
    }

    fn aim(&self) -> String {
        format!("let the role {} log in {} over the socket", self.role, self.by.shown())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        self.look(host).map(Seen::Now)
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Act> {
        let path = self.server.hba_file.display().to_string();
        let Some(file) = &found.file else {
            return Verdict::foreign(format!("{path} does not exist"), "authentik-install check");
        };
        if let Some(rule) = found.rules.iter().find(|rule| rule.error.is_some()) {
            let (line, error) = (rule.line.unwrap_or(0), rule.error.as_deref().unwrap_or_default());
            return Verdict::foreign(
                format!(
                    "{path} has an error in line {line}, with which PostgreSQL will not start again: {error}"
                ),
                format!("correct line {line} of {path}"),
            );
        }
        if !self.fits(&found.rules) {
            let Ok(old) = file.text() else {
                return Verdict::foreign(
                    format!("{path} is not UTF-8 text"),
                    format!("correct {path}"),
                );
            };
            if let Some(refusal) = super::refuse_fixed(&self.server.hba_file, file) {
                return refusal;
            }
            let new = block::insert(&old, &[&self.record()], Place::First);
            let text = format!("{} ({path})", self.aim());
            let diff = unified(&path, &old, &new);
            return Verdict::of(vec![
                Planned::create(Act::Insert(file.clone(), new), text).with_diff(diff),
            ]);
        }
        if !found.loaded {
            return Verdict::of(vec![Planned::run(
                Act::Reload,
                format!("make PostgreSQL load {path}"),
            )]);
        }
        Verdict::Converged
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Reload => reload(host, &self.server),
            Act::Insert(old, new) => {
                let (owner, path, mode) =
                    (&self.server.owner, &self.server.hba_file, old.meta.perms.mode);
                host.put_as(owner, path, new.as_bytes(), mode)?;
                self.prove(host).or_else(|failure| {
                    host.put_as(owner, path, &old.bytes, mode)?;
                    reload(host, &self.server)?;
                    Err(failure.next(format!(
                        "the old {} is back; look at it and run again",
                        path.display()
                    )))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::accounts::Account;

    fn rule(database: &str, user: &str, method: &str) -> Rule {
        Rule {
            line: Some(1),
            kind: Some("local".into()),
            database: Some(vec![database.into()]),
            user: Some(vec![user.into()]),
            method: Some(method.into()),
            options: None,
            error: None,
        }
    }

    #[test]
    fn the_first_match_decides() {
        let owner = Account {
            name: "postgres".into(),
            uid: 1,
            gid: 1,
            home: "/".into(),
            shell: "/".into(),
        };
        let name: PgName = "authentik".parse().unwrap();
        let hba = Hba {
            server: Server {
                owner,
                socket_dir: "/run/postgresql".into(),
                port: 5432,
                version: 170_012,
                data_dir: "/var/lib/postgresql/17/main".into(),
                hba_file: "/h".into(),
                unit: None,
                standby: false,
            },
            database: name.clone(),
            role: name,
            by: By::Password("/p".into()),
        };
        let peer_first =
            [rule("all", "all", "peer"), rule("authentik", "authentik", "scram-sha-256")];
        assert!(!hba.fits(&peer_first));
        assert!(
            hba.fits(&[
                rule("authentik", "authentik", "scram-sha-256"),
                rule("all", "all", "peer")
            ])
        );
        assert!(hba.fits(&[rule("other", "all", "peer"), rule("sameuser", "all", "md5")]));
        assert!(!hba.fits(&[]));
        let hba = Hba { by: By::Peer("authentik".into()), ..hba };
        assert!(hba.fits(&peer_first));
        let mapped = Rule { options: Some(vec!["map=x".into()]), ..rule("all", "all", "peer") };
        assert!(!hba.fits(&[mapped, rule("all", "all", "peer")]));
    }
}
