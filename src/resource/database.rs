//! The database: UTF-8, owned by the role.

use crate::data::postgresql::locale_clause;
use crate::error::Result;
use crate::event::Sink;
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use crate::names::PgName;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use serde::Deserialize;

/// A database.
#[derive(Debug)]
pub struct Database {
    /// The server.
    pub server: Server,
    /// Its name.
    pub name: PgName,
    /// Its owner.
    pub owner: PgName,
}

/// What the server knows of it.
#[derive(Debug, Deserialize)]
pub struct Found {
    owner: String,
    encoding: String,
    connectable: bool,
}

/// It is created.
#[derive(Debug)]
pub struct Create;

impl Resource for Database {
    type Found = Option<Found>;
    type Act = Create;

    fn id(&self) -> Id {
        Id::new("database", &self.name)
    }

    fn aim(&self) -> String {
        format!("create the database {}", self.name)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        let sql = format!(
            "SELECT json_build_object('owner', pg_get_userbyid(datdba),
                'encoding', pg_encoding_to_char(encoding), 'connectable', datallowconn)
             FROM pg_database WHERE datname = '{}'",
            self.name
        );
        Ok(Seen::Now(host.query(&self.server, "postgres", &sql)?))
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Create> {
        let Database { name, owner, server } = self;
        if server.standby {
            return Verdict::foreign(
                "this PostgreSQL is a standby, which takes no changes",
                "run authentik-install on the host of the primary",
            );
        }
        let Some(now) = found else {
            return Verdict::of(vec![Planned::create(
                Create,
                format!("create the database {name} (UTF-8, owner {owner})"),
            )]);
        };
        let dump = format!(
            "dump it, and load it into a new one: runuser -u postgres -- pg_dump -Fc -f FILE {name}"
        );
        if now.encoding != "UTF8" {
            return Verdict::foreign(
                format!(
                    "the database {name} has the encoding {}, and authentik needs UTF8",
                    now.encoding
                ),
                dump,
            );
        }
        if now.owner != owner.as_str() {
            return Verdict::foreign(
                format!("the database {name} belongs to {}, not to {owner}", now.owner),
                format!(
                    "if it is authentik's: runuser -u postgres -- psql -c 'ALTER DATABASE {name} OWNER TO {owner}'"
                ),
            );
        }
        if !now.connectable {
            return Verdict::foreign(
                format!("the database {name} allows no connections"),
                format!(
                    "runuser -u postgres -- psql -c 'ALTER DATABASE {name} ALLOW_CONNECTIONS true'"
                ),
            );
        }
        Verdict::Converged
    }

    fn apply(&self, host: &Writer<'_>, _: &Create, _: &dyn Sink) -> Result<()> {
        let sql = format!(
            "CREATE DATABASE \"{}\" OWNER \"{}\" TEMPLATE template0 ENCODING 'UTF8' {}",
            self.name,
            self.owner,
            locale_clause(self.server.major())
        );
        host.sql(&self.server, "postgres", &sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::accounts::Account;

    #[test]
    fn what_does_not_fit_is_refused() {
        let owner = Account {
            name: "postgres".into(),
            uid: 1,
            gid: 1,
            home: "/".into(),
            shell: "/".into(),
        };
        let server = Server {
            owner,
            socket_dir: "/run/postgresql".into(),
            port: 5432,
            version: 170_012,
            data_dir: "/var/lib/postgresql/17/main".into(),
            hba_file: "/h".into(),
            unit: None,
            standby: false,
        };
        let name: PgName = "authentik".parse().unwrap();
        let database = Database { server, owner: name.clone(), name };
        let is = |owner: &str, encoding: &str, connectable| {
            database.diff(
                &Some(Found { owner: owner.into(), encoding: encoding.into(), connectable }),
                &Standing::Unclaimed,
            )
        };
        assert!(matches!(is("authentik", "UTF8", true), Verdict::Converged));
        assert!(matches!(is("authentik", "SQL_ASCII", true), Verdict::Foreign { .. }));
        assert!(matches!(is("postgres", "UTF8", true), Verdict::Foreign { .. }));
        assert!(matches!(is("authentik", "UTF8", false), Verdict::Foreign { .. }));
        assert!(matches!(database.diff(&None, &Standing::Unclaimed), Verdict::Change(_)));
    }
}
