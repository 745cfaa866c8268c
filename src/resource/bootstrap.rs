//! The first administrator's password, for the first start alone.
//!
//! authentik takes it from the environment only, and only while it has no administrator. It stands
//! in a file that the worker's unit names, and both are removed once a login has proven it
//! (`resource/admin.rs`). While they exist the proxy is not opened: the set-up page would belong to
//! whoever comes first.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::files::{Perms, Put};
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use crate::names::{Email, PgName};
use crate::resource::directory::Wanted;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use crate::secret::Secret;
use std::path::PathBuf;

/// Where the two files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The environment file.
    pub env: PathBuf,
    /// Folder of the worker's drop-ins.
    pub dropin_dir: PathBuf,
}

impl Places {
    /// The drop-in that names the environment file.
    pub fn dropin(&self) -> PathBuf {
        self.dropin_dir.join("10-bootstrap.conf")
    }
}

/// The preparation of the first start.
#[derive(Debug)]
pub struct Bootstrap {
    /// The server.
    pub server: Server,
    /// The database.
    pub database: PgName,
    /// Where.
    pub places: Places,
    /// Text of the drop-in.
    pub dropin: String,
    /// Owner and mode of the environment file.
    pub wanted: Wanted,
    /// The password, if one was given.
    pub password: Option<Secret>,
    /// The administrator's mail address, if one was given.
    pub email: Option<Email>,
}

impl Bootstrap {
    /// The name of this resource.
    pub fn id_of() -> Id {
        Id::new("bootstrap", "akadmin")
    }
}

/// How far it is.
#[derive(Debug)]
pub struct Found {
    admin: bool,
    env: bool,
    dropin: bool,
}

/// It is prepared.
#[derive(Debug)]
pub struct Prepare {
    env: bool,
}

/// Does anybody have a password that opens authentik?
///
/// # Errors
/// If the server cannot be asked.
pub fn has_admin(host: &Reader, server: &Server, database: &PgName) -> Result<bool> {
    if !host.has_table(server, database.as_str(), "authentik_core_user")? {
        return Ok(false);
    }
    // Django marks a password that nobody can have with '!'.
    let sql = "SELECT to_json(EXISTS (SELECT FROM authentik_core_user
        WHERE password <> '' AND password NOT LIKE '!%'))";
    Ok(host.query(server, database.as_str(), sql)? == Some(true))
}

impl Resource for Bootstrap {
    type Found = Found;
    type Act = Prepare;

    fn id(&self) -> Id {
        Bootstrap::id_of()
    }

    fn aim(&self) -> String {
        "prepare the first start".into()
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        Ok(Seen::Now(Found {
            admin: has_admin(host, &self.server, &self.database)?,
            env: host.stat(&self.places.env)?.is_some(),
            dropin: host.stat(&self.places.dropin())?.is_some(),
        }))
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Prepare> {
        // Bootstrap settings of a database that has an administrator are withdrawn, not made.
        if found.admin || (found.env && found.dropin) {
            return Verdict::Converged;
        }
        let which = if self.password.is_some() { "the given" } else { "a random" };
        Verdict::of(vec![Planned::create(
            Prepare { env: !found.env },
            format!("prepare the first start with {which} password for akadmin"),
        )])
    }

    fn apply(&self, host: &Writer<'_>, act: &Prepare, _: &dyn Sink) -> Result<()> {
        if act.env {
            let password = self.password.clone().unwrap_or_else(|| Secret::generate(32));
            let mut text = zeroize::Zeroizing::new(format!(
                "AUTHENTIK_BOOTSTRAP_PASSWORD={}\n",
                password.expose()
            ));
            if let Some(email) = &self.email {
                text.push_str(&format!("AUTHENTIK_BOOTSTRAP_EMAIL={email}\n"));
            }
            let perms = self.wanted.perms.unwrap_or(Perms::root(0o600));
            host.put(&self.places.env, text.as_bytes(), perms, Put::New)?;
        }
        if host.stat(&self.places.dropin_dir)?.is_none() {
            host.create_dir(&self.places.dropin_dir, Perms::root(0o755))?;
        }
        let path = self.places.dropin();
        host.put(&path, self.dropin.as_bytes(), Perms::root(0o644), Put::Replace)
    }
}

/// The password that waits for its proof, or `None` if none does.
///
/// # Errors
/// If the environment file cannot be read.
pub fn waiting(host: &Reader, places: &Places) -> Result<Option<Secret>> {
    let Some(file) = host.read(&places.env)? else { return Ok(None) };
    let text = zeroize::Zeroizing::new(file.text()?);
    text.lines()
        .find_map(|line| line.strip_prefix("AUTHENTIK_BOOTSTRAP_PASSWORD="))
        .map(|value| Some(Secret::new(value.to_owned())))
        .ok_or_else(|| {
            Failure::new("reading", places.env.display(), "it holds no password")
                .next(format!("rm {}", places.env.display()))
        })
}
