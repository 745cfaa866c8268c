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

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// It is missing.
    Create,
    /// It is another's, with all that this one has in it.
    Give,
}

// REASSIGN OWNED would also take what belongs to a superuser in its own right, and so refuses that.
const GIVE: &str = "
DO $give$
DECLARE
    giver oid := (SELECT datdba FROM pg_database WHERE datname = current_database());
    line text;
BEGIN
    FOR line IN
        WITH space AS (
            SELECT oid, nspname, nspowner FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ), dependent AS (SELECT classid, objid FROM pg_depend WHERE deptype IN ('a', 'i', 'e'))
        SELECT format('SCHEMA %I', nspname) FROM space WHERE nspowner = giver
        UNION ALL
        SELECT format('TABLE %s', c.oid::regclass) FROM pg_class c JOIN space ON space.oid = relnamespace
        WHERE relowner = giver AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM dependent)
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure) FROM pg_proc p JOIN space ON space.oid = pronamespace
        WHERE proowner = giver AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM dependent)
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype) FROM pg_type t JOIN space ON space.oid = typnamespace
        WHERE typowner = giver AND typtype IN ('e', 'd')
            AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM dependent)
    LOOP
        EXECUTE format('ALTER %s OWNER TO %I', line, 'ROLE');
    END LOOP;
END $give$;
ALTER DATABASE \"NAME\" OWNER TO \"ROLE\"";

impl Resource for Database {
    type Found = Option<Found>;
    type Act = Act;

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

    fn diff(&self, found: &Self::Found, standing: &Standing) -> Verdict<Act> {
        let Database { name, owner, server } = self;
        if server.standby {
            return Verdict::foreign(
                "this PostgreSQL is a standby, which takes no changes",
                "run authentik-install on the host of the primary",
            );
        }
        let Some(now) = found else {
            return Verdict::of(vec![Planned::create(
                Act::Create,
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
        if now.owner != owner.as_str() && *standing == Standing::Unclaimed {
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
        if now.owner != owner.as_str() {
            let text = format!(
                "give the database {name} to {owner}, with all that {} has in it",
                now.owner
            );
            return Verdict::of(vec![Planned::change(Act::Give, text)]);
        }
        Verdict::Converged
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        if let Act::Give = act {
            let sql = GIVE.replace("NAME", self.name.as_str()).replace("ROLE", self.owner.as_str());
            return host.sql(&self.server, self.name.as_str(), &sql);
        }
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
        let now = |owner: &str, encoding: &str, connectable| {
            Some(Found { owner: owner.into(), encoding: encoding.into(), connectable })
        };
        let is = |owner: &str, encoding: &str, connectable| {
            database.diff(&now(owner, encoding, connectable), &Standing::Unclaimed)
        };
        let ours = Standing::Claimed(Mark::default());
        let taken = database.diff(&now("postgres", "UTF8", true), &ours);
        assert!(matches!(taken, Verdict::Change(_)));
        assert!(matches!(is("authentik", "UTF8", true), Verdict::Converged));
        assert!(matches!(is("authentik", "SQL_ASCII", true), Verdict::Foreign { .. }));
        assert!(matches!(is("postgres", "UTF8", true), Verdict::Foreign { .. }));
        assert!(matches!(is("authentik", "UTF8", false), Verdict::Foreign { .. }));
        assert!(matches!(database.diff(&None, &Standing::Unclaimed), Verdict::Change(_)));
    }
}
