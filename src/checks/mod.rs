//! Is this host fit? A table of checks, run in parallel, each with a deadline.
//!
//! A check that could not look is not a check that failed: the first is `unknown`, with the reason.

mod host;
mod rootless;
mod services;
mod web;

use crate::data::distro::{self, Distro, Need};
use crate::data::release::Release;
use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::names::Domain;
use crate::settings::Settings;
use crate::settings::input::{Proxy, Tls};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Fit.
    Ok,
    /// Works, and should be better.
    Warn,
    /// Could not look.
    Unknown,
    /// Not fit.
    Fail,
}

/// One row of the result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Stable name.
    pub id: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// The command that cures it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// What packages would bring that is missing: `install --install-packages`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Does it keep `install` from going ahead?
    pub blocks: bool,
    /// How long the look took, in milliseconds.
    pub took_ms: u128,
}

/// The result. Its JSON shape is a promise, numbered by `format`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Number of this shape.
    pub format: u32,
    /// May `install` go ahead?
    pub fit: bool,
    /// In the order of the table.
    pub checks: Vec<Row>,
    /// The line that installs everything that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<String>,
}

/// What a check finds when it could look.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How it ended.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// The command that cures it.
    pub cure: Option<String>,
    /// What packages would bring that is missing.
    pub needs: Vec<Need>,
}

impl Finding {
    /// Fit.
    pub fn ok(found: impl Into<String>) -> Self {
        Finding { level: Level::Ok, found: found.into(), cure: None, needs: Vec::new() }
    }

    /// Works, and should be better.
    pub fn warn(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Finding { level: Level::Warn, cure: Some(cure.into()), ..Finding::ok(found) }
    }

    /// Not fit.
    pub fn fail(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Finding { level: Level::Fail, cure: Some(cure.into()), ..Finding::ok(found) }
    }
}

/// What every check can use.
struct Context {
    host: Reader,
    distro: Option<Distro>,
    subject: Subject,
}

/// What is to be installed, as far as a check wants to know.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The release line.
    pub release: Release,
    /// Image without tag.
    pub image: String,
    /// The system user.
    pub user: String,
    /// The PostgreSQL role.
    pub database_user: String,
    /// The public name, once it is chosen.
    pub domain: Option<Domain>,
    /// TCP port that browsers use.
    pub public_port: u16,
    /// TCP port of the server on 127.0.0.1.
    pub http_port: u16,
    /// TCP port of the server's own HTTPS on 127.0.0.1, if it is published.
    pub https_port: Option<u16>,
    /// Certificate and key of one's own.
    pub certificate: Vec<PathBuf>,
}

impl Subject {
    /// That of these settings.
    pub fn of(settings: &Settings) -> Self {
        Subject {
            release: settings.release.clone(),
            image: settings.image.to_string(),
            user: settings.user.to_string(),
            database_user: settings.database.user.to_string(),
            domain: Some(settings.domain.clone()),
            public_port: settings.domain.port(),
            http_port: settings.http_port.number(),
            https_port: settings.https_port.map(|port| port.number()),
            certificate: own_certificate(&settings.proxy),
        }
    }
}

fn own_certificate(proxy: &Proxy) -> Vec<PathBuf> {
    let files = [&proxy.certificate, &proxy.key].into_iter().flatten();
    let wanted = proxy.enabled && proxy.tls == Tls::Files;
    files.filter(|_| wanted).map(|file| file.path().to_owned()).collect()
}

impl Context {
    /// Something that packages bring is not here. `plain` says it where the package manager is not known.
    fn missing(&self, found: impl Into<String>, needs: &[Need], plain: &str) -> Finding {
        let found = found.into();
        let Some(distro) = &self.distro else {
            let cure = format!("install {plain} with this distribution's package manager");
            return Finding::fail(found, cure);
        };
        match needs.iter().find_map(|need| distro.lack(*need)) {
            Some(lack) => Finding::fail(format!("{found}; {}", lack.why), &lack.way_out),
            None => Finding { needs: needs.to_vec(), ..Finding::fail(found, distro.line(needs)) },
        }
    }
}

struct Check {
    id: &'static str,
    /// Advice: not being able to look is no obstacle.
    advice: bool,
    deadline: Duration,
    run: fn(&Context) -> Result<Finding>,
}

const fn check(id: &'static str, run: fn(&Context) -> Result<Finding>) -> Check {
    Check { id, advice: false, deadline: Duration::from_secs(10), run }
}

const fn advice(id: &'static str, run: fn(&Context) -> Result<Finding>) -> Check {
    Check { advice: true, ..check(id, run) }
}

const CHECKS: &[Check] = &[
    check("systemd", host::systemd),
    check("root", host::root),
    advice("machine", host::kind),
    check("cgroup", host::cgroup),
    check("kernel", host::kernel),
    advice("security", host::security),
    check("memory", host::memory),
    check("disk", host::disk),
    advice("clock", host::clock),
    check("user-namespaces", rootless::user_namespaces),
    check("podman", rootless::podman),
    check("crun", rootless::crun),
    check("passt", rootless::passt),
    check("rootless-helpers", rootless::helpers),
    check("session", rootless::session),
    check("subordinate-ids", rootless::subids),
    check("image-policy", rootless::policy),
    check("keyring", rootless::keyring),
    check("stray-units", rootless::stray),
    check("postgresql", services::postgresql),
    check("valkey", services::valkey),
    check("caddy", web::caddy),
    check("caddy-config", web::caddy_config),
    check("certificate-files", web::certificate),
    check("port-http", web::port_80),
    check("port-https", web::port_public),
    check("port-authentik", web::port_own),
    advice("domain", web::domain),
    advice("firewall", web::firewall),
];

/// Runs every check of the table.
///
/// # Errors
/// If an embedded table is broken.
pub fn run(host: &Reader, subject: Subject) -> Result<Report> {
    run_only(host, subject, |_| true)
}

/// Runs the checks of the table whose names are picked.
///
/// # Errors
/// If an embedded table is broken.
pub fn run_only(host: &Reader, subject: Subject, pick: impl Fn(&str) -> bool) -> Result<Report> {
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let distro = distro::of(&os_release)?;
    let context = Arc::new(Context { host: host.clone(), distro, subject });
    let rows = host.runtime().block_on(async {
        let started: Vec<_> = CHECKS
            .iter()
            .filter(|check| pick(check.id))
            .map(|check| {
                let context = Arc::clone(&context);
                let work = tokio::task::spawn_blocking(move || {
                    let begun = Instant::now();
                    ((check.run)(&context), begun.elapsed())
                });
                let limit = host.patience(check.deadline);
                (check, limit, tokio::time::timeout(limit, work))
            })
            .collect();
        let mut rows = Vec::new();
        for (check, limit, work) in started {
            let finding = match work.await {
                Ok(Ok((finding, took))) => (finding, took),
                Ok(Err(_)) => (lost(check, "the check ended early".to_owned()), Duration::ZERO),
                Err(_) => {
                    let why = format!("no answer within {} s", limit.as_secs());
                    (lost(check, why), limit)
                }
            };
            rows.push(row(check, finding));
        }
        rows
    });
    let fit = !rows.iter().any(|row| row.blocks);
    let mut needs: Vec<Need> = rows.iter().flat_map(|row| row.needs.iter().copied()).collect();
    needs.sort_unstable();
    needs.dedup();
    let line = context.distro.as_ref().map(|distro| distro.line(&needs));
    let packages = line.filter(|_| !needs.is_empty());
    Ok(Report { format: 1, fit, checks: rows, packages })
}

fn lost(check: &Check, why: String) -> Result<Finding> {
    Err(Failure::new("checking", check.id, why))
}

fn row(check: &Check, (finding, took): (Result<Finding>, Duration)) -> Row {
    let (id, took_ms) = (check.id, took.as_millis());
    match finding {
        Ok(Finding { level, found, cure, needs }) => {
            Row { id, level, found, cure, needs, blocks: level == Level::Fail, took_ms }
        }
        Err(failure) => Row {
            id,
            level: Level::Unknown,
            found: failure.summary(),
            cure: failure.next_step().map(str::to_owned),
            needs: Vec::new(),
            blocks: !check.advice,
            took_ms,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
    }
}
