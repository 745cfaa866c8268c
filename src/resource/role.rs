//! The PostgreSQL role that authentik logs in as.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::postgres::Server;
use crate::host::{Reader, Writer, scram};
use crate::names::PgName;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use crate::secret::Secret;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A role that can log in, with the password of the secret file or with none, and nothing more.
#[derive(Debug)]
pub struct Role {
    /// The server.
    pub server: Server,
    /// Its name.
    pub name: PgName,
    /// File of its password; `None`: it has none, and the kernel tells who it is.
    pub password: Option<PathBuf>,
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

impl Role {
    fn foreign(&self) -> Verdict<Act> {
        let name = &self.name;
        let remove = format!("remove the role: runuser -u postgres -- dropuser {name}");
        let (what, next) = match &self.password {
            Some(path) => (
                format!("its password is not the one in {}", path.display()),
                format!("write its password into {}, or {remove}", path.display()),
            ),
            None => ("it cannot log in".to_owned(), remove),
        };
        Verdict::foreign(format!("the PostgreSQL role {name} was there before, and {what}"), next)
    }
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
        let password = self.password.as_ref().map(|path| read_secret(host, path)).transpose()?;
        Ok(Seen::Now(Found { role, password: password.flatten() }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let name = &self.name;
        let Some(role) = &found.role else {
            return Verdict::of(vec![Planned::create(
                Act::Create,
                format!("create the role {name} (login, no other rights)"),
            )]);
        };
        let unclaimed = *standing == Standing::Unclaimed;
        let fits = match (&self.password, &found.password, &role.verifier) {
            (None, _, verifier) => verifier.is_none() || unclaimed,
            (Some(_), Some(password), Some(verifier)) => scram::matches(verifier, password),
            (Some(_), _, _) => false,
        };
        if role.superuser {
            return Verdict::foreign(
                format!("the PostgreSQL role {name} is a superuser"),
                format!(
                    "if nothing else needs that: runuser -u postgres -- psql -c 'ALTER ROLE {name} NOSUPERUSER'"
                ),
            );
        }
        if unclaimed && !(fits && role.login && !role.expired) {
            return self.foreign();
        }
        let mut changes = Vec::new();
        if !role.login || role.expired {
            changes.push(Planned::change(Act::Login, format!("let the role {name} log in")));
        }
        if !fits {
            let text = match &self.password {
                Some(_) => {
                    format!("set the password of the role {name} to the one in its secret file")
                }
                None => format!("take the password of the role {name} away"),
            };
            changes.push(Planned::change(Act::Password, text));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let name = &self.name;
        let verifier = || -> Result<String> {
            let Some(path) = &self.password else { return Ok("NULL".into()) };
            let password = read_secret(host, path)?.ok_or_else(|| {
                Failure::new("reading the secret", path.display(), "it is missing")
            })?;
            Ok(format!("'{}'", scram::verifier(&password)))
        };
        let sql = match act {
            Act::Create => format!(
                "CREATE ROLE \"{name}\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}",
                verifier()?
            ),
            Act::Password => format!("ALTER ROLE \"{name}\" PASSWORD {}", verifier()?),
            Act::Login => format!("ALTER ROLE \"{name}\" LOGIN VALID UNTIL 'infinity'"),
        };
        host.sql(&self.server, "postgres", &sql)
    }
}
