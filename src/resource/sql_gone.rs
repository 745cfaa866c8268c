//! A database or a role of ours that is not needed any more. Those of others stay.

use crate::error::Result;
use crate::event::Sink;
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use crate::names::PgName;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A database, with all that is in it.
    Database,
    /// A role.
    Role,
}

/// It should not be there.
#[derive(Debug)]
pub struct SqlGone {
    /// The server.
    pub server: Server,
    /// What it is.
    pub what: What,
    /// Its name.
    pub name: PgName,
}

/// Drop it.
#[derive(Debug)]
pub struct Remove;

impl SqlGone {
    fn words(&self) -> (&'static str, &'static str) {
        match self.what {
            What::Database => ("database", "pg_database WHERE datname"),
            What::Role => ("role", "pg_roles WHERE rolname"),
        }
    }
}

impl Resource for SqlGone {
    type Found = bool;
    type Act = Remove;

    fn id(&self) -> Id {
        Id::new(self.words().0, &self.name)
    }

    fn aim(&self) -> String {
        format!("drop the {} {}", self.words().0, self.name)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        let sql = format!("SELECT to_json(count(*) > 0) FROM {} = '{}'", self.words().1, self.name);
        Ok(Seen::Now(host.query(&self.server, "postgres", &sql)? == Some(true)))
    }

    fn diff(&self, found: &bool, standing: &Standing) -> Verdict<Remove> {
        match (found, standing) {
            (false, _) => Verdict::Gone,
            (true, Standing::Unclaimed) => Verdict::Converged,
            (true, Standing::Claimed(_)) => Verdict::of(vec![Planned::remove(Remove, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Remove, _: &dyn Sink) -> Result<()> {
        let name = &self.name;
        let sql = match self.what {
            What::Database => format!("DROP DATABASE \"{name}\" WITH (FORCE)"),
            What::Role => format!("DROP ROLE \"{name}\""),
        };
        host.sql(&self.server, "postgres", &sql)
    }
}
