//! Is this host fit? A table of checks, run in parallel, each with a deadline.
//!
//! A check that could not look is not a check that failed: the first is `unknown`, with the reason.

mod host;
mod rootless;
mod services;
mod web;

use crate::data::distro::{self, Distro};
use crate::data::release::Release;
use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::names::Domain;
use crate::settings::Settings;
use serde::Serialize;
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
}

impl Finding {
    /// Fit.
    pub fn ok(found: impl Into<String>) -> Self {
        Finding { level: Level::Ok, found: found.into(), cure: None }
    }

    /// Works, and should be better.
    pub fn warn(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Finding { level: Level::Warn, found: found.into(), cure: Some(cure.into()) }
    }

    /// Not fit.
    pub fn fail(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Finding { level: Level::Fail, found: found.into(), cure: Some(cure.into()) }
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
        }
    }
}

impl Context {
    /// The command that installs something here.
    fn install(&self, pick: impl Fn(&Distro) -> String, plain: &str) -> String {
        match &self.distro {
            Some(distro) => distro.install(&pick(distro)),
            None => format!("install {plain} with this distribution's package manager"),
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
    Ok(Report { format: 1, fit, checks: rows })
}

fn lost(check: &Check, why: String) -> Result<Finding> {
    Err(Failure::new("checking", check.id, why))
}

fn row(check: &Check, (finding, took): (Result<Finding>, Duration)) -> Row {
    let (id, took_ms) = (check.id, took.as_millis());
    match finding {
        Ok(Finding { level, found, cure }) => {
            Row { id, level, found, cure, blocks: level == Level::Fail, took_ms }
        }
        Err(failure) => Row {
            id,
            level: Level::Unknown,
            found: failure.summary(),
            cure: failure.next_step().map(str::to_owned),
            blocks: !check.advice,
            took_ms,
        },
    }
}

/// Compares dotted numbers, as many as `least` has.
fn at_least(version: &str, least: &[u32]) -> bool {
    let numbers: Vec<u32> =
        version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect();
    numbers.iter().copied().chain(std::iter::repeat(0)).take(least.len()).ge(least.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("5.4.2", &[5, 0]));
        assert!(at_least("10.0", &[5, 0]));
        assert!(at_least("5", &[5, 0]));
        assert!(!at_least("4.9.3", &[5, 0]));
        assert!(!at_least("", &[5, 0]));
        assert!(at_least("6.12.0-amd64", &[5, 13]));
    }

    #[test]
    fn names_are_unique() {
        let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
    }
}
