//! What the scheduled look remembers between two runs, so that only a change is told.

use super::Report;
use crate::checks::Level;
use crate::error::{Failure, Result};
use crate::host::{Reader, files};
use serde::{Deserialize, Serialize};
use std::path::Path;

const MEMORY: &str = "/var/lib/authentik-install/verify.json";

/// The last scheduled look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Number of this shape.
    pub format: u32,
    /// When (UTC).
    pub time: String,
    /// Was it healthy?
    pub healthy: bool,
    /// Since when it is as it is (UTC).
    pub since: String,
    /// The checks that failed or could not look.
    pub failed: Vec<String>,
    /// What somebody was told last: healthy or not.
    #[serde(default = "well")]
    pub told: bool,
}

// An installation that is seen for the first time is expected to be healthy.
fn well() -> bool {
    true
}

/// A change that somebody is to be told of. Its JSON shape is a promise, numbered by `format`.
#[derive(Debug, Serialize)]
pub struct Change<'r> {
    /// Number of this shape.
    pub format: u32,
    /// Always `verify`.
    pub event: &'static str,
    /// The public name.
    pub domain: &'r str,
    /// Is it healthy now?
    pub healthy: bool,
    /// One line for a person.
    pub text: String,
    /// When (UTC).
    pub time: &'r str,
    /// What failed, with the next command.
    pub failed: Vec<&'r super::Row>,
}

/// The last scheduled look, if there was one.
///
/// # Errors
/// If it cannot be read. One that is not understood counts as none.
pub fn last(host: &Reader) -> Result<Option<Last>> {
    let file = host.read(Path::new(MEMORY))?;
    Ok(file.and_then(|file| serde_json::from_slice(&file.bytes).ok()))
}

/// Remembers this look, and has `tell` tell what is not as it was told last; if nobody could be told it
/// is tried again at the next look.
///
/// # Errors
/// If it cannot be remembered.
pub fn remember(
    host: &Reader,
    report: &Report,
    tell: impl FnOnce(&Change<'_>) -> Result<bool>,
) -> Result<()> {
    let mut now = after(last(host)?.as_ref(), report);
    if now.told != now.healthy && tell(&change(report))? {
        now.told = now.healthy;
    }
    let text = serde_json::to_vec(&now)
        .map_err(|error| Failure::new("remembering", MEMORY, error.to_string()))?;
    files::publish(host, Path::new(MEMORY), &text, 0o600)
}

fn after(before: Option<&Last>, report: &Report) -> Last {
    let same = before.filter(|before| before.healthy == report.healthy);
    Last {
        format: 1,
        time: report.time.clone(),
        healthy: report.healthy,
        since: same.map_or_else(|| report.time.clone(), |same| same.since.clone()),
        failed: report.bad().map(|row| row.id.clone()).collect(),
        told: before.map_or_else(well, |before| before.told),
    }
}

fn change(report: &Report) -> Change<'_> {
    let failed: Vec<&super::Row> = report.bad().collect();
    let text = match failed.first() {
        None => format!("authentik at {} is healthy again", report.domain),
        Some(row) => {
            format!("authentik at {} is not healthy: {}: {}", report.domain, row.id, row.found)
        }
    };
    Change {
        format: 1,
        event: "verify",
        domain: &report.domain,
        healthy: report.healthy,
        text,
        time: &report.time,
        failed,
    }
}

impl Report {
    /// What makes it unhealthy.
    pub fn bad(&self) -> impl Iterator<Item = &super::Row> {
        self.checks.iter().filter(|row| row.level > Level::Warn)
    }
}
