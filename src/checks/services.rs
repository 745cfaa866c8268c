//! The services that authentik stores its things in.

use super::{Context, Finding};
use crate::data::distro::{self, Need};
use crate::data::release::Release;
use crate::error::{Failure, Result};
use crate::facts::cache::is_included;
use crate::host::postgres::{NOBODY, START, Server};
use crate::host::valkey::Refusal;
use serde::Deserialize;

pub(super) fn postgresql(context: &Context) -> Result<Finding> {
    let release = &context.subject.release;
    let server = match context.host.postgres() {
        Err(failure) if is_down(&failure) => {
            let start = context.distro.as_ref().map(|distro| distro.start(Need::Postgresql));
            let cure = match start.filter(|lines| !lines.is_empty()) {
                None => START.into(),
                Some(lines) => {
                    format!(
                        "systemctl start postgresql; if it was never set up: {}",
                        lines.join("; ")
                    )
                }
            };
            return Ok(Finding::fail("PostgreSQL does not run", cure));
        }
        other => other?,
    };
    let Some(server) = server else {
        let needs = [Need::Postgresql];
        return Ok(context.missing("PostgreSQL is not installed", &needs, "PostgreSQL"));
    };
    let major = server.major();
    let found =
        format!("PostgreSQL {major} on {}, port {}", server.socket_dir.display(), server.port);
    if server.standby {
        return Ok(Finding::fail(
            format!("{found}; it is a standby"),
            "use the host of the primary",
        ));
    }
    if let Some(finding) = out_of_range(release, major, &found) {
        return Ok(finding);
    }
    state(context, &server, &found)
}

fn out_of_range(release: &Release, major: u32, found: &str) -> Option<Finding> {
    let (min, max) = (release.postgresql_min, release.postgresql_max);
    if major < min {
        return Some(Finding::fail(
            format!("{found}; authentik {} needs {min} or newer", release.line),
            "upgrade PostgreSQL (pg_upgradecluster on Debian)",
        ));
    }
    if major > max {
        return Some(Finding::warn(
            format!("{found}; authentik {} was used with {min} to {max}", release.line),
            format!("use PostgreSQL {max}, or a newer line of authentik"),
        ));
    }
    None
}

fn is_down(failure: &Failure) -> bool {
    failure.to_string().contains(NOBODY)
}

#[derive(Deserialize)]
struct Load {
    max: i64,
    used: i64,
}

/// A server and a worker of 2026.8 were seen to hold 10; each tenant, and each more process, adds.
const CONNECTIONS: i64 = 20;

fn state(context: &Context, server: &Server, found: &str) -> Result<Finding> {
    let Some(unit) = &server.unit else {
        return Ok(Finding::warn(
            format!("{found}; no unit of systemd runs it, so nothing waits for it at boot"),
            "run it as a systemd service",
        ));
    };
    let sql = format!(
        "SELECT json_build_object('max', current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int,
        'used', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> '{}'))",
        context.subject.database_user
    );
    let load: Option<Load> = context.host.query(server, "postgres", &sql)?;
    if let Some(Load { max, used }) = load.filter(|load| load.max - load.used < CONNECTIONS) {
        return Ok(Finding::warn(
            format!(
                "{found}; {used} of {max} connections are taken by others, authentik wants {CONNECTIONS}"
            ),
            "runuser -u postgres -- psql -c 'ALTER SYSTEM SET max_connections = 200', then restart it",
        ));
    }
    let others = context.host.active_units("postgresql@*.service")?;
    let others: Vec<&str> = others.iter().map(String::as_str).filter(|name| name != unit).collect();
    Ok(Finding::ok(match others.as_slice() {
        [] => format!("{found} ({unit})"),
        more => format!("{found} ({unit}; not used: {})", more.join(", ")),
    }))
}

pub(super) fn valkey(context: &Context) -> Result<Finding> {
    let version = context.host.program_version("valkey-server", &["--version"])?;
    let here =
        version.map_or_else(|| "not installed".to_owned(), |version| format!("Valkey {version}"));
    if !context.subject.release.cache() {
        return Ok(Finding::ok(format!(
            "{here}; authentik {} needs none",
            context.subject.release.line
        )));
    }
    let line = &context.subject.release.line;
    let units = distro::valkey_units(context.distro.as_ref());
    let Some(valkey) = context.host.valkey(&units)? else {
        let found = format!("{here}; authentik {line} needs one");
        return Ok(context.missing(found, &[Need::Valkey], "Valkey"));
    };
    let unit = &valkey.unit;
    let Some(address) = valkey.address() else {
        if is_included(&valkey) {
            let next = "authentik-install install";
            return Ok(Finding::warn(format!("{unit} does not run; `install` starts it"), next));
        }
        return Ok(Finding::fail(
            format!("{unit} does not run; authentik {line} needs it"),
            format!("systemctl enable --now {unit}"),
        ));
    };
    Ok(match context.host.ask_valkey(&address, None) {
        Ok(answer) if answer.policy.starts_with("allkeys") => Finding::warn(
            format!("{here} at {address} drops keys when its memory is full ({})", answer.policy),
            "set maxmemory-policy noeviction: authentik keeps sessions and tasks in it",
        ),
        Ok(_) => Finding::ok(format!("{here} at {address}")),
        Err(Refusal::Password) => Finding::ok(format!("{here} at {address}, by password")),
        Err(Refusal::Other(said)) => Finding::fail(
            format!("{unit} at {address} does not answer: {said}"),
            format!("journalctl -u {unit} -n 50"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Level;
    use crate::data::release::{self, Allowed};

    #[test]
    fn postgresql_must_fit_the_line() {
        let level = |version: &str, major| {
            let version = version.parse().unwrap();
            let release =
                release::of(&version, Allowed { unsupported: true, unknown: true }).unwrap();
            out_of_range(&release, major, "").map(|finding| finding.level)
        };
        assert_eq!(level("2026.8.3", 13), Some(Level::Fail));
        assert_eq!(level("2026.8.3", 14), None);
        assert_eq!(level("2026.8.3", 18), None);
        assert_eq!(level("2026.8.3", 19), Some(Level::Warn));
    }
}
