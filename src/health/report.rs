//! What a run found.

use crate::checks::{self, Finding, Level};
use crate::error::Result;
use crate::settings::Settings;
use serde::Serialize;
use std::time::Duration;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// User, groups, subordinate ids, lingering.
    Accounts,
    /// Files, folders and units of ours.
    Files,
    /// Secrets, on the host and as the containers see them.
    Secrets,
    /// PostgreSQL.
    Database,
    /// Valkey, where the release line uses one.
    Cache,
    /// The pod and its containers.
    Workload,
    /// The way in: Caddy, certificate, headers.
    Web,
    /// The machine.
    Host,
    /// Backups.
    Backups,
}

impl Group {
    /// All of them, in order.
    pub const ALL: [Group; 9] = [
        Group::Accounts,
        Group::Files,
        Group::Secrets,
        Group::Database,
        Group::Cache,
        Group::Workload,
        Group::Web,
        Group::Host,
        Group::Backups,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Group::Accounts => "accounts",
            Group::Files => "files",
            Group::Secrets => "secrets",
            Group::Database => "database",
            Group::Cache => "cache",
            Group::Workload => "workload",
            Group::Web => "web",
            Group::Host => "host",
            Group::Backups => "backups",
        }
    }
}

/// How bad it is at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nobody can sign in, or data is at risk, now or at the next start.
    Critical,
    /// It works, and should be looked at.
    Warning,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these groups; all if empty.
    pub only: Vec<Group>,
    /// Leave out what takes long.
    pub quick: bool,
    /// Longest time for everything.
    pub deadline: Duration,
}

impl Options {
    pub(super) fn wants(&self, group: Group) -> bool {
        self.only.is_empty() || self.only.contains(&group)
    }
}

/// One check and how it ended.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Stable name.
    pub id: String,
    /// What it is about.
    pub group: Group,
    /// How bad it is at worst.
    pub severity: Severity,
    /// What an `ok` proves.
    pub proves: String,
    /// How it ended.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// The next command, if there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How long the look took, in milliseconds.
    pub took_ms: u128,
}

impl Row {
    pub(super) fn new(
        id: impl Into<String>,
        group: Group,
        severity: Severity,
        proves: impl Into<String>,
    ) -> Self {
        let (id, proves) = (id.into(), proves.into());
        let (level, found) = (Level::Unknown, String::new());
        Row { id, group, severity, proves, level, found, next: None, took_ms: 0 }
    }

    pub(super) fn ended(&mut self, (finding, took): (Result<Finding>, Duration)) {
        self.took_ms = took.as_millis();
        (self.level, self.found, self.next) = match finding {
            Ok(Finding { level, found, cure, .. }) => (level, found, cure),
            Err(failure) => {
                let next = failure.next_step().map(str::to_owned);
                (Level::Unknown, failure.summary(), next)
            }
        };
        if self.severity == Severity::Warning && self.level == Level::Fail {
            self.level = Level::Warn;
        }
    }
}

impl From<checks::Row> for Row {
    fn from(row: checks::Row) -> Self {
        let checks::Row { id, level, found, cure: next, blocks, took_ms, .. } = row;
        let severity = Severity::Critical;
        // Advice that cannot be given is no outage.
        let level = if level == Level::Unknown && !blocks { Level::Warn } else { level };
        let proves = format!("`authentik-install check` is content with {id}");
        Row { id: id.into(), group: Group::Host, severity, proves, level, found, next, took_ms }
    }
}

/// A number that was seen, for graphs. Names and units as Prometheus has them: base units, no
/// scaling.
#[derive(Debug, Clone, Serialize)]
pub struct Measure {
    /// Name without the program's prefix, unit last: `database_size_bytes`.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Which one, where there are several; the label's name is `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The value.
    pub value: f64,
}

/// The result. Its JSON shape is a promise, numbered by `format`, and written down in
/// `embedded/schemas/verify.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Number of this shape.
    pub format: u32,
    /// Version of this program.
    pub program: &'static str,
    /// When (UTC).
    pub time: String,
    /// The public name.
    pub domain: String,
    /// Version of authentik, as the settings have it.
    pub authentik: String,
    /// No check failed, and each one could look.
    pub healthy: bool,
    /// The worst that was found.
    pub level: Level,
    /// How long it took, in milliseconds.
    pub took_ms: u128,
    /// By group, in the order of the table.
    pub checks: Vec<Row>,
    /// Numbers that were seen.
    pub measures: Vec<Measure>,
}

impl Report {
    pub(super) fn of(
        settings: &Settings,
        mut checks: Vec<Row>,
        mut measures: Vec<Measure>,
        took: Duration,
    ) -> Self {
        checks.sort_by_key(|row| row.group);
        measures.sort_by(|a, b| (a.name, &a.of).cmp(&(b.name, &b.of)));
        let level = checks.iter().map(|row| row.level).max().unwrap_or(Level::Ok);
        Report {
            format: 1,
            program: env!("CARGO_PKG_VERSION"),
            time: format!("{:.0}", jiff::Timestamp::now()),
            domain: settings.domain.to_string(),
            authentik: settings.version.to_string(),
            healthy: level <= Level::Warn,
            level,
            took_ms: took.as_millis(),
            checks,
            measures,
        }
    }

    /// The rows of one level.
    pub fn of_level(&self, level: Level) -> impl Iterator<Item = &Row> {
        self.checks.iter().filter(move |row| row.level == level)
    }
}
