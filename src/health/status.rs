//! The installation on one screen: what runs, how well, how big, and what comes next.

use super::{Group, Report, watch};
use crate::backup::shelf;
use crate::checks::Level;
use crate::error::{Failure, Result};
use crate::host::accounts::Account;
use crate::host::{Reader, files};
use crate::names::Version;
use crate::settings::Settings;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CACHE: &str = "/var/lib/authentik-install/newer.json";
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A registry that does not answer is not asked again for so long.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const TIMERS: [&str; 3] =
    ["authentik-verify.timer", "authentik-backup.timer", "authentik-backup-proof.timer"];
/// A folder of many files is counted for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The screen. Its JSON shape is a promise, numbered by `format`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Number of this shape.
    pub format: u32,
    /// Where people sign in.
    pub url: String,
    /// Version of authentik, as the settings have it.
    pub version: String,
    /// The newest patch of the line; `None` if it is not known.
    pub newest: Option<String>,
    /// Why it is not known, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_unknown: Option<String>,
    /// Did no check fail, and could each one look?
    pub healthy: bool,
    /// Since when the scheduled look finds it as it is (UTC).
    pub since: Option<String>,
    /// A line a group of checks.
    pub groups: Vec<GroupLine>,
    /// When each container was started.
    pub containers: Vec<Started>,
    /// Sizes in bytes.
    pub sizes: Vec<Size>,
    /// When the newest good backup was made (UTC).
    pub last_backup: Option<String>,
    /// When each timer fires next.
    pub timers: Vec<Next>,
}

/// The health of one group.
#[derive(Debug, Serialize)]
pub struct GroupLine {
    /// Its name.
    pub group: Group,
    /// The worst that was found.
    pub level: Level,
    /// How many checks it has.
    pub checks: usize,
    /// The first of the worst, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
}

/// A running container.
#[derive(Debug, Serialize)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// When it was started (UTC).
    pub since: String,
}

/// The size of something.
#[derive(Debug, Serialize)]
pub struct Size {
    /// What.
    pub of: &'static str,
    /// Bytes; `None` if it could not be counted in time.
    pub bytes: Option<u64>,
}

/// A timer.
#[derive(Debug, Serialize)]
pub struct Next {
    /// Its name.
    pub timer: &'static str,
    /// When it fires next (UTC); `None` if it is not set up.
    pub at: Option<String>,
}

/// Puts the screen together, from a report that was just made.
///
/// # Errors
/// If the host's user database cannot be asked.
pub fn gather(host: &Reader, settings: &Settings, report: &Report) -> Result<Status> {
    let account = host.account(settings.user.as_str())?;
    std::thread::scope(|scope| {
        let newest = scope.spawn(|| newest(host, settings));
        let sizes = scope.spawn(|| sizes(host, settings, report));
        let containers = account.as_ref().map(|own| containers(host, own)).unwrap_or_default();
        let last = watch::last(host)?.filter(|last| last.healthy == report.healthy);
        let set = host.timers_elapse(&TIMERS).unwrap_or_default();
        let at = |timer| Timestamp::from_microsecond(*set.get(timer)?).ok();
        let timers = TIMERS.map(|timer| Next { timer, at: at(timer).map(|at| format!("{at:.0}")) });
        let newest = newest.join().unwrap_or(Ok(None));
        Ok(Status {
            format: 1,
            url: settings.url(),
            version: settings.version.to_string(),
            newest_unknown: newest.as_ref().err().cloned(),
            newest: newest.ok().flatten().map(|version| version.to_string()),
            healthy: report.healthy,
            since: last.map(|last| last.since),
            groups: groups(report),
            containers,
            sizes: sizes.join().unwrap_or_default(),
            last_backup: newest_backup(host, settings),
            timers: timers.into(),
        })
    })
}

fn groups(report: &Report) -> Vec<GroupLine> {
    let line = |group: Group| {
        let rows: Vec<_> = report.checks.iter().filter(|row| row.group == group).collect();
        let level = rows.iter().map(|row| row.level).max()?;
        let worst = rows.iter().find(|row| row.level == level && level != Level::Ok);
        let worst = worst.map(|row| format!("{}: {}", row.id, row.found));
        Some(GroupLine { group, level, checks: rows.len(), worst })
    };
    Group::ALL.into_iter().filter_map(line).collect()
}

fn containers(host: &Reader, account: &Account) -> Vec<Started> {
    let time = |seconds| Timestamp::from_second(seconds).unwrap_or_default().to_string();
    let found = host.containers(account).unwrap_or_default().into_iter();
    let ours = found.filter(|one| one.state == "running").filter_map(|one| {
        let name = one.names.first().filter(|name| name.starts_with("authentik-"))?.clone();
        (!name.ends_with("-infra")).then(|| Started { name, since: time(one.started_at) })
    });
    let mut all: Vec<Started> = ours.collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn sizes(host: &Reader, settings: &Settings, report: &Report) -> Vec<Size> {
    let paths = &settings.paths;
    let database = report.measures.iter().find(|one| one.name == "database_size_bytes");
    let mut all = vec![Size { of: "database", bytes: database.map(|one| one.value as u64) }];
    let mut folders: Vec<(&'static str, &PathBuf)> = Vec::new();
    folders.extend(paths.data.as_ref().map(|data| ("data", data)));
    if !paths.media_in_data() {
        folders.push(("media", &paths.media));
    }
    folders.push(("container storage", &paths.home));
    let patient = host.within(PATIENCE);
    all.extend(
        folders.into_iter().map(|(of, path)| Size { of, bytes: patient.size_of(path).ok() }),
    );
    all
}

fn newest_backup(host: &Reader, settings: &Settings) -> Option<String> {
    let all = shelf::list_own(host, settings.backup.dir.path(), settings.domain.as_str()).ok()?;
    all.iter().find(|one| one.is_good()).map(|one| one.time.to_string())
}

/// What a registry said, and when.
#[derive(Serialize, Deserialize)]
struct Asked {
    image: String,
    version: String,
    newest: Option<Version>,
    failed: Option<String>,
    time: Timestamp,
}

// Asked once a day: nobody has to answer for each look at a screen.
fn newest(host: &Reader, settings: &Settings) -> std::result::Result<Option<Version>, String> {
    if !settings.update_check {
        return Ok(None);
    }
    let (image, version) = (settings.image.to_string(), settings.version.to_string());
    let known = host.read(Path::new(CACHE)).ok().flatten();
    let known: Option<Asked> = known.and_then(|file| serde_json::from_slice(&file.bytes).ok());
    let fresh = known.filter(|known| {
        let good_for = if known.failed.is_some() { HOUR } else { DAY };
        let age = Timestamp::now().duration_since(known.time);
        known.image == image && known.version == version && age < good_for
    });
    let asked = fresh.unwrap_or_else(|| {
        let answer = host.newest_patch(&settings.image, &settings.version);
        let failed = answer.as_ref().err().map(Failure::summary);
        let asked = Asked { image, version, newest: answer.ok(), failed, time: Timestamp::now() };
        // Not kept, it is asked again: that is all.
        if let Ok(text) = serde_json::to_vec(&asked) {
            let _ = files::publish(host, Path::new(CACHE), &text, 0o600);
        }
        asked
    });
    asked.failed.map_or(Ok(asked.newest), Err)
}
