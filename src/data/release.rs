//! The release lines of authentik, and what each one needs.

use crate::data::embedded;
use crate::error::{Exit, Failure, Result};
use crate::names::Version;
use serde::Deserialize;
use std::cmp::Ordering;

/// One release line: a row of `releases.toml`, whose head explains the columns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The line, as in `2026.8`.
    pub line: String,
    /// Date of the first release of the line.
    pub released: String,
    /// Does upstream still mend it?
    pub supported: bool,
    /// Image, without tag.
    pub image: String,
    /// Newest known-good version: what is installed unless another is asked for.
    pub default: Version,
    /// Versions known to work.
    pub known_good: Vec<Version>,
    /// Versions known to do damage.
    pub known_bad: Vec<Version>,
    /// Lowest PostgreSQL major.
    pub postgresql_min: u32,
    /// Highest PostgreSQL major that the line was used with.
    pub postgresql_max: u32,
    /// Settings that take the URL of Valkey, without `AUTHENTIK_`.
    pub cache_urls: Vec<String>,
    /// Where the data folder is mounted in the container; empty if the line has none.
    pub data_mount: String,
    /// Where uploads are in the container.
    pub media_mount: String,
    /// Address that it listens on by itself.
    pub default_listen: String,
    /// TCP port of the worker's HTTP listener; 0 if it has none.
    pub worker_http: u16,
    /// TCP port of the worker's metrics listener; 0 if it has none.
    pub worker_metrics: u16,
    /// Does the worker keep `authentik_tasks_workerstatus`?
    pub worker_status: bool,
    /// Does the live path say 200 while the server boots?
    pub live_while_booting: bool,
    /// Does it know `AUTHENTIK_WEB__BASE_URL`?
    pub base_url: bool,
    /// Can every part log in to PostgreSQL without a password?
    pub peer: bool,
    /// Is a read-only root file system proven to work?
    pub read_only_root: bool,
    /// Unit of the first argument of `ak create_recovery_key`.
    pub recovery_key_unit: LifeUnit,
    /// Where the facts of the row come from.
    pub source: String,
}

impl Release {
    /// Does it need Valkey?
    pub fn cache(&self) -> bool {
        !self.cache_urls.is_empty()
    }
}

/// The unit that a recovery key's life is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeUnit {
    /// Minutes.
    Minutes,
    /// Years: the line knows nothing shorter.
    Years,
}

/// A setting that a line and all newer ones do not take any more.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// Its name; a final `*` stands for any rest.
    pub name: String,
    /// First line without it.
    pub since: String,
    /// Its new name; empty if there is none.
    pub now: String,
    /// Where that comes from.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    release: Vec<Release>,
    retired: Vec<Retired>,
}

fn table() -> Result<Table> {
    embedded::table("tables/releases.toml")
}

/// All known lines, newest first.
///
/// # Errors
/// If the embedded table is broken.
pub fn all() -> Result<Vec<Release>> {
    Ok(table()?.release)
}

/// The newest line.
///
/// # Errors
/// If the embedded table is broken or empty.
pub fn newest() -> Result<Release> {
    all()?.into_iter().next().ok_or_else(|| {
        Failure::new("reading the embedded table", "tables/releases.toml", "it is empty")
    })
}

/// What may be installed although it is not advised.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// A line that upstream does not mend any more.
    pub unsupported: bool,
    /// A line newer than the table: it is treated as the newest known one.
    pub unknown: bool,
}

/// The line that `version` belongs to.
///
/// # Errors
/// If the line is not known or not supported, unless that is allowed, or if the version is known
/// to do damage.
pub fn of(version: &Version, allowed: Allowed) -> Result<Release> {
    let refuse = |why: String, next: String| {
        Err(Failure::new("choosing the release", version, why).next(next).exit(Exit::Usage))
    };
    let known = all()?;
    let newest = newest()?;
    let Some(release) = known.iter().find(|r| r.line == version.line()) else {
        if numbers(version.line()) > numbers(&newest.line) {
            if allowed.unknown {
                return Ok(Release { line: version.line().to_owned(), ..newest });
            }
            let (line, near) = (version.line(), &newest.line);
            return refuse(
                format!("the line {line} is newer than this binary, whose newest is {near}"),
                format!(
                    "use a newer authentik-install, or --version {}, or go on as if it were {near}: \
                     --allow-unknown-line",
                    newest.default
                ),
            );
        }
        let lines: Vec<&str> = known.iter().map(|r| r.line.as_str()).collect();
        return refuse(
            format!("there is no line {}; known are {}", version.line(), lines.join(", ")),
            format!("use --version {}", newest.default),
        );
    };
    if release.known_bad.contains(version) {
        return refuse(
            format!("this version is known to do damage ({})", release.source),
            format!("use --version {}", release.default),
        );
    }
    if !release.supported && !allowed.unsupported {
        return refuse(
            format!(
                "upstream does not mend the line {} any more, not even its security",
                release.line
            ),
            format!("use --version {}, or go on: --allow-unsupported-line", newest.default),
        );
    }
    Ok(release.clone())
}

/// Is `name` a setting that this line does not take any more?
///
/// # Errors
/// If the embedded table is broken.
pub fn retired(name: &str, line: &str) -> Result<Option<Retired>> {
    let fits = |row: &Retired| match row.name.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == row.name,
    };
    let rows = table()?.retired;
    Ok(rows.into_iter().find(|row| fits(row) && numbers(line) >= numbers(&row.since)))
}

/// The way from an installed version to a wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// None.
    Same,
    /// To a newer patch of the same line.
    Patch,
    /// Back, within the line.
    Older,
    /// To another line.
    OtherLine,
}

/// How far is it from the version that is installed, in authentik's own words, to `wanted`?
pub fn compare(wanted: &Version, installed: &str) -> Step {
    let (wanted, installed) = (numbers(wanted.as_str()), numbers(installed));
    match wanted.cmp(&installed) {
        _ if wanted.get(..2) != installed.get(..2) => Step::OtherLine,
        Ordering::Equal => Step::Same,
        Ordering::Greater => Step::Patch,
        Ordering::Less => Step::Older,
    }
}

fn numbers(text: &str) -> Vec<u32> {
    text.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(version: &str) -> Result<Release> {
        of(&version.parse().unwrap(), Allowed::default())
    }

    #[test]
    fn the_table_is_consistent() {
        let all = all().unwrap();
        assert_eq!(
            (all.first().unwrap().line.as_str(), all.last().unwrap().line.as_str()),
            ("2026.8", "2024.2")
        );
        assert!(all.windows(2).all(|pair| numbers(&pair[0].line) > numbers(&pair[1].line)));
        for release in all {
            assert_eq!(release.default.line(), release.line);
            assert!(release.known_good.contains(&release.default), "{}", release.line);
            assert!(!release.known_bad.contains(&release.default), "{}", release.line);
            for version in release.known_good.iter().chain(&release.known_bad) {
                assert_eq!(version.line(), release.line);
            }
            assert!(release.postgresql_min <= release.postgresql_max);
            assert!(!release.source.is_empty() && !release.released.is_empty());
            assert!(!release.media_mount.is_empty() && !release.default_listen.is_empty());
        }
        assert!(table().unwrap().retired.iter().all(|row| !row.source.is_empty()));
    }

    #[test]
    fn what_each_line_needs() {
        let with_cache: Vec<String> =
            all().unwrap().into_iter().filter(Release::cache).map(|row| row.line).collect();
        assert_eq!(with_cache.first().unwrap(), "2025.8");
        assert_eq!(with_cache.len(), 10);
    }

    #[test]
    fn bad_old_and_unknown_versions_are_refused_before_anything_else() {
        let refuse = |v: &str| strict(v).unwrap_err();
        assert_eq!(refuse("2026.8.2").exit_code(), Exit::Usage);
        assert!(refuse("2026.8.2").to_string().contains("2026.8.3"));
        assert!(refuse("2031.1.0").to_string().contains("--allow-unknown-line"));
        assert!(refuse("2025.8.6").to_string().contains("--allow-unsupported-line"));
        assert!(refuse("2025.9.1").to_string().contains("there is no line"));
        assert!(strict("2026.8.4").is_ok(), "a newer patch of a known line is taken");
        let allowed = Allowed { unsupported: true, unknown: true };
        assert_eq!(of(&"2025.8.6".parse().unwrap(), allowed).unwrap().line, "2025.8");
        assert_eq!(of(&"2031.1.0".parse().unwrap(), allowed).unwrap().line, "2031.1");
        assert!(of(&"2026.8.0".parse().unwrap(), allowed).is_err(), "known damage stays refused");
    }

    #[test]
    fn retired_settings_are_found_with_their_new_name() {
        let now = |name: &str, line: &str| retired(name, line).unwrap().map(|row| row.now);
        let concurrency = "AUTHENTIK_WORKER__CONCURRENCY";
        assert_eq!(now(concurrency, "2026.8").as_deref(), Some("AUTHENTIK_WORKER__THREADS"));
        assert_eq!(now(concurrency, "2025.6"), None);
        assert_eq!(now("AUTHENTIK_REDIS__HOST", "2025.10").as_deref(), Some(""));
        assert_eq!(now("AUTHENTIK_LOG_LEVEL", "2026.8"), None);
    }

    #[test]
    fn patches_are_ordered_by_number() {
        let step = |wanted: &str, here: &str| compare(&wanted.parse().unwrap(), here);
        assert_eq!(step("2026.8.3", "2026.8.10"), Step::Older);
        assert_eq!(step("2026.8.10", "2026.8.3"), Step::Patch);
        assert_eq!(step("2026.8.3", "2026.8.3"), Step::Same);
        assert_eq!(step("2026.8.3", "2026.8.0-rc1"), Step::Patch);
        assert_eq!(step("2026.2.6", "2025.12.6"), Step::OtherLine);
    }
}
