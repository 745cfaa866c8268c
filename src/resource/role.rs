//! The PostgreSQL role that authentik logs in as.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::postgres::{Server, scram};
use crate::host::{Reader, Writer};
use crate::names::PgName;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use crate::secret::Secret;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A role that can log in with the password of the secret file, and nothing more.
#[derive(Debug)]
pub struct Role {
    /// The server.
    pub server: Server,
    /// Its name.
    pub name: PgName,
    /// File of its password.
    pub password: PathBuf,
}

/// What the server knows of it.
#[derive(Debug, Deserialize)]
pub struct RoleNow {
    login: bool,
    superuser: bool,
    expired: bool,
    verifier: Option<String>,
}

/// The role, and the password that it should have.
#[derive(Debug)]
pub struct Found {
    role: Option<RoleNow>,
    password: Option<Secret>,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// It is missing.
    Create,
    /// It has another password.
    Password,
    /// It cannot log in.
    Login,
}

/// Reads a secret file of ours.
///
/// # Errors
/// If it cannot be read, or holds what authentik would not read as this text.
pub fn read_secret(host: &Reader, path: &Path) -> Result<Option<Secret>> {
    let Some(file) = host.read(path)? else { return Ok(None) };
    Secret::from_file_bytes(&file.bytes).map(Some).map_err(|why| {
        Failure::new("reading the secret", path.display(), why)
            .next(format!("write the value as one line into {}", path.display()))
    })
}

impl Resource for Role {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("role", &self.name)
    }

    fn aim(&self) -> String {
        format!("create the role {}", self.name)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let role = host.query(
            &self.server,
            "postgres",
            &format!(
                "SELECT json_build_object('login', rolcanlogin, 'superuser', rolsuper,
                    'expired', coalesce(rolvaliduntil < now(), false), 'verifier', rolpassword)
                 FROM pg_authid WHERE rolname = '{}'",
                self.name
            ),
        )?;
        Ok(Seen::Now(Found { role, password: read_secret(host, &self.password)? }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let name = &self.name;
        let Some(role) = &found.role else {
            return Verdict::of(vec![Planned::create(
                Act::Create,
                format!("create the role {name} (login, no other rights)"),
            )]);
        };
        let fits = found.password.as_ref().is_some_and(|password| {
            role.verifier.as_ref().is_some_and(|verifier| scram::matches(verifier, password))
        });
        if role.superuser {
            return Verdict::foreign(
                format!("the PostgreSQL role {name} is a superuser"),
                format!(
                    "if nothing else needs that: runuser -u postgres -- psql -c 'ALTER ROLE {name} NOSUPERUSER'"
                ),
            );
        }
        if *standing == Standing::Unclaimed && !(fits && role.login && !role.expired) {
            return Verdict::foreign(
                format!(
                    "the PostgreSQL role {name} was there before, and its password is not the one in {}",
                    self.password.display()
                ),
                format!(
                    "write its password into {}, or remove the role: runuser -u postgres -- dropuser {name}",
                    self.password.display()
                ),
            );
        }
        let mut changes = Vec::new();
        if !role.login || role.expired {
            changes.push(Planned::change(Act::Login, format!("let the role {name} log in")));
        }
        if !fits {
            let text = format!("set the password of the role {name} to the one in its secret file");
            changes.push(Planned::change(Act::Password, text));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let name = &self.name;
        let verifier = || -> Result<String> {
            let password = read_secret(host, &self.password)?.ok_or_else(|| {
                Failure::new("reading the secret", self.password.display(), "it is missing")
            })?;
            Ok(scram::verifier(&password))
        };
        let sql = match act {
            Act::Create => format!(
                "CREATE ROLE \"{name}\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '{}'",
                verifier()?
            ),
            Act::Password => format!("ALTER ROLE \"{name}\" PASSWORD '{}'", verifier()?),
            Act::Login => format!("ALTER ROLE \"{name}\" LOGIN VALID UNTIL 'infinity'"),
        };
        host.sql(&self.server, "postgres", &sql)
    }
}
