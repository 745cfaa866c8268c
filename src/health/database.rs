//! PostgreSQL and what authentik keeps in it.

use super::{Context, Measure};
use crate::checks::Finding;
use crate::error::{Failure, Result};
use crate::facts::Fact;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
struct Now {
    encoding: String,
    collation: Option<String>,
    collation_now: Option<String>,
    size: u64,
    most: i64,
    used: i64,
    lock_wait: Option<f64>,
    tables: Option<BTreeMap<String, u64>>,
}

impl Context {
    // One question for everything, so that it is asked once.
    fn database(&self) -> Result<Now> {
        let server = self.server()?;
        // Versions of collations are kept since 15.
        let (kept, real) = match server.major() {
            ..15 => ("NULL", "NULL"),
            15.. => ("datcollversion", "pg_database_collation_actual_version(oid)"),
        };
        let sql = format!(
            "SELECT json_build_object(
                'encoding', pg_encoding_to_char(encoding),
                'collation', {kept}, 'collation_now', {real},
                'size', pg_database_size(oid),
                'most', current_setting('max_connections')::int
                    - current_setting('superuser_reserved_connections')::int,
                'used', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
                    AND pid <> pg_backend_pid()),
                'lock_wait', (SELECT extract(epoch FROM max(now() - state_change)) FROM pg_stat_activity
                    WHERE wait_event_type = 'Lock' AND datname = current_database()),
                'tables', (SELECT json_object_agg(relname, pg_total_relation_size(c.oid)) FROM pg_class c
                    WHERE relkind = 'r' AND (relname LIKE 'authentik_tasks_%'
                        OR relname LIKE 'authentik_events_%' OR relname LIKE '%channels%')))
            FROM pg_database WHERE datname = current_database()"
        );
        let name = self.settings.database.name.as_str();
        self.host
            .query(server, name, &sql)?
            .ok_or_else(|| Failure::new("asking about", name, "PostgreSQL gave no answer"))
    }
}

pub(super) fn up(context: &Context) -> Result<Finding> {
    use crate::facts::Fact;
    Ok(match &context.facts()?.postgres {
        Fact::Known(server) => Finding::ok(format!(
            "PostgreSQL {} on {}, port {}",
            server.major(),
            server.socket_dir.display(),
            server.port
        )),
        Fact::Absent => Finding::fail("PostgreSQL is not installed", "authentik-install check"),
        Fact::Unknown(why) => Finding::fail(
            why.lines().next().unwrap_or_default(),
            "systemctl list-units 'postgresql*', then: systemctl start postgresql",
        ),
    })
}

pub(super) fn hba_errors(context: &Context) -> Result<Finding> {
    let server = context.server()?;
    let sql = "SELECT json_agg(json_build_object('line', line_number, 'error', error))
        FROM pg_hba_file_rules WHERE error IS NOT NULL";
    #[derive(Deserialize)]
    struct Bad {
        line: Option<u32>,
        error: String,
    }
    let bad: Option<Vec<Bad>> = context.host.query(server, "postgres", sql)?;
    let file = server.hba_file.display();
    Ok(match bad.unwrap_or_default().first() {
        None => Finding::ok(format!("{file}")),
        Some(Bad { line, error }) => Finding::fail(
            format!(
                "{file}:{}: {error}; PostgreSQL goes on with the old rules, until it restarts",
                line.unwrap_or(0)
            ),
            format!(
                "correct it, then: runuser -u {} -- psql -c 'SELECT pg_reload_conf()'",
                server.owner.name
            ),
        ),
    })
}

pub(super) fn schema(context: &Context) -> Result<Finding> {
    context.server()?;
    let version = context.settings.version.as_str();
    let log = "journalctl CONTAINER_NAME=authentik-server -n 50";
    Ok(match &context.facts()?.installed {
        Fact::Known(here) if here == version => Finding::ok(format!("authentik {here}")),
        Fact::Known(here) => Finding::fail(
            format!("the database holds authentik {here}, and {version} is installed"),
            log,
        ),
        Fact::Absent => Finding::fail("the database holds no authentik", log),
        Fact::Unknown(why) => Finding::fail(why.as_str(), log),
    })
}

pub(super) fn encoding(context: &Context) -> Result<Finding> {
    Ok(judge_encoding(context.database()?.encoding))
}

fn judge_encoding(encoding: String) -> Finding {
    match encoding.as_str() {
        "UTF8" => Finding::ok(encoding),
        _ => Finding::fail(
            format!("the database keeps {encoding}; authentik needs UTF8"),
            "dump it, create it anew WITH ENCODING 'UTF8' TEMPLATE template0, and restore it",
        ),
    }
}

pub(super) fn collation(context: &Context) -> Result<Finding> {
    let Now { collation, collation_now, .. } = context.database()?;
    let name = &context.settings.database.name;
    Ok(match (collation, collation_now) {
        (Some(kept), Some(real)) if kept != real => Finding::warn(
            format!("the system sorts by rules {real}, the indexes were built by {kept}"),
            format!(
                "runuser -u postgres -- psql -d {name} -c 'REINDEX DATABASE {name}' -c 'ALTER DATABASE {name} REFRESH COLLATION VERSION'"
            ),
        ),
        (kept, _) => Finding::ok(kept.unwrap_or_else(|| "not versioned".into())),
    })
}

pub(super) fn connections(context: &Context) -> Result<Finding> {
    let Now { most, used, .. } = context.database()?;
    let help = "Connections to PostgreSQL that are taken.";
    context.measure(Measure { name: "database_connections", help, of: None, value: used as f64 });
    let help = "Connections to PostgreSQL that there can be.";
    context.measure(Measure {
        name: "database_connections_max",
        help,
        of: None,
        value: most as f64,
    });
    let found = format!("{used} of {most} are taken");
    let next = "runuser -u postgres -- psql -c 'SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2'";
    Ok(match used * 100 / most.max(1) {
        95.. => Finding::fail(found, next),
        80.. => Finding::warn(found, next),
        _ => Finding::ok(found),
    })
}

pub(super) fn locks(context: &Context) -> Result<Finding> {
    let waited = context.database()?.lock_wait.unwrap_or(0.0);
    let next = "runuser -u postgres -- psql -c 'SELECT pid, pg_blocking_pids(pid), state, query FROM pg_stat_activity'";
    let found = format!("somebody has waited for a lock for {waited:.0} s");
    Ok(match waited {
        60.0.. => Finding::fail(found, next),
        10.0.. => Finding::warn(found, next),
        _ => Finding::ok("nobody waits for long"),
    })
}

const GIB: u64 = 1 << 30;

pub(super) fn size(context: &Context) -> Result<Finding> {
    let Now { size, tables, .. } = context.database()?;
    let help = "Size of authentik's database.";
    context.measure(Measure { name: "database_size_bytes", help, of: None, value: size as f64 });
    let tables = tables.unwrap_or_default();
    let help = "Size of a table that is known to grow, with its indexes.";
    for (table, bytes) in &tables {
        let of = Some(table.clone());
        context.measure(Measure {
            name: "database_table_size_bytes",
            help,
            of,
            value: *bytes as f64,
        });
    }
    let found = format!("{:.1} MiB", size as f64 / f64::from(1 << 20));
    Ok(judge_size(&found, &tables))
}

fn judge_size(found: &str, tables: &BTreeMap<String, u64>) -> Finding {
    match tables.iter().max_by_key(|(_, bytes)| **bytes) {
        Some((table, bytes)) if *bytes > 10 * GIB => Finding::warn(
            format!("{found}, of which {table} has {:.1} GiB", *bytes as f64 / GIB as f64),
            "shorten the retention of events and tasks in authentik's system settings",
        ),
        _ => Finding::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Level;

    #[test]
    fn only_utf8_will_do() {
        assert_eq!(judge_encoding("UTF8".into()).level, Level::Ok);
        assert_eq!(judge_encoding("SQL_ASCII".into()).level, Level::Fail);
    }

    #[test]
    fn a_table_that_grew_out_of_hand_is_told() {
        let tables = |bytes| BTreeMap::from([("authentik_events_event".to_owned(), bytes)]);
        assert_eq!(judge_size("1 GiB", &tables(GIB)).level, Level::Ok);
        let grown = judge_size("12 GiB", &tables(11 * GIB));
        assert_eq!(grown.level, Level::Warn);
        assert!(grown.found.contains("authentik_events_event has 11.0 GiB"), "{}", grown.found);
    }
}
