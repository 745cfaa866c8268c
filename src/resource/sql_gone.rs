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
    /// Databases that go, too: what a role has there is in nobody's way.
    pub besides: Vec<String>,
}

/// What is there.
#[derive(Debug)]
pub struct Found {
    there: bool,
    /// Databases of others in which a role has something.
    others: Vec<String>,
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

impl SqlGone {
    // Objects and rights in a database, and databases themselves (PostgreSQL manual, "pg_shdepend").
    fn elsewhere(&self) -> String {
        format!(
            "SELECT json_agg(DISTINCT d.datname) FROM pg_shdepend s
             JOIN pg_roles r ON r.oid = s.refobjid
             JOIN pg_database d ON d.oid = s.dbid OR (s.classid = 'pg_database'::regclass AND d.oid = s.objid)
             WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = '{}'",
            self.name
        )
    }
}

impl Resource for SqlGone {
    type Found = Found;
    type Act = Remove;

    fn id(&self) -> Id {
        Id::new(self.words().0, &self.name)
    }

    fn aim(&self) -> String {
        format!("drop the {} {}", self.words().0, self.name)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let sql = format!("SELECT to_json(count(*) > 0) FROM {} = '{}'", self.words().1, self.name);
        let there = host.query(&self.server, "postgres", &sql)? == Some(true);
        let others = match self.what {
            What::Role if there => host.query(&self.server, "postgres", &self.elsewhere())?,
            What::Role | What::Database => None,
        };
        let mut others: Vec<String> = others.unwrap_or_default();
        others.retain(|name| !self.besides.contains(name));
        Ok(Seen::Now(Found { there, others }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Remove> {
        match (found.there, standing, found.others.first()) {
            (false, ..) => Verdict::Gone,
            (true, Standing::Unclaimed, _) => Verdict::Converged,
            (true, Standing::Claimed(_), Some(first)) => {
                let (name, all) = (&self.name, found.others.join(", "));
                Verdict::foreign(
                    format!("the role {name} has something in databases of others: {all}"),
                    format!(
                        "runuser -u postgres -- psql -d {first} -c 'REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}'"
                    ),
                )
            }
            (true, Standing::Claimed(_), None) => {
                Verdict::of(vec![Planned::remove(Remove, self.aim())])
            }
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Remove, _: &dyn Sink) -> Result<()> {
        let name = &self.name;
        let sql = match self.what {
            What::Database => format!("DROP DATABASE \"{name}\" WITH (FORCE)"),
            What::Role => format!("DROP ROLE \"{name}\""),
        };
        host.sql_at_length(&self.server, "postgres", &sql)
    }
}
