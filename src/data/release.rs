//! The release lines of authentik, and what each one needs.

use crate::data::embedded;
use crate::error::{Exit, Failure, Result};
use crate::names::Version;
use serde::Deserialize;

/// One release line: a row of `releases.toml`.
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
    /// Highest PostgreSQL major.
    pub postgresql_max: u32,
    /// Does it need Valkey?
    pub cache: bool,
    /// Where the data folder is mounted in the container.
    pub data_mount: String,
    /// TCP port of the worker's HTTP listener.
    pub worker_http: u16,
    /// TCP port of the worker's metrics listener.
    pub worker_metrics: u16,
    /// Does it know `AUTHENTIK_WEB__BASE_URL`?
    pub base_url: bool,
    /// Is a read-only root file system proven to work?
    pub read_only_root: bool,
    /// Unit of the first argument of `ak create_recovery_key`.
    pub recovery_key_unit: String,
    /// Where the facts of the row come from.
    pub source: String,
}

#[derive(Deserialize)]
struct Table {
    release: Vec<Release>,
}

/// All known lines, newest first.
///
/// # Errors
/// If the embedded table is broken.
pub fn all() -> Result<Vec<Release>> {
    Ok(embedded::table::<Table>("tables/releases.toml")?.release)
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

/// The line that `version` belongs to.
///
/// # Errors
/// If the line is not known, or the version is known to do damage.
pub fn of(version: &Version) -> Result<Release> {
    let refuse = |why: String, next: String| {
        Err(Failure::new("choosing the release", version, why).next(next).exit(Exit::Usage))
    };
    let known = all()?;
    let Some(release) = known.iter().find(|r| r.line == version.line()) else {
        let lines: Vec<&str> = known.iter().map(|r| r.line.as_str()).collect();
        let default = newest()?.default;
        return refuse(
            format!(
                "the line {} is not known to this binary, which knows {}",
                version.line(),
                lines.join(", ")
            ),
            format!("use --version {default}, or a newer authentik-install"),
        );
    };
    if release.known_bad.contains(version) {
        return refuse(
            format!("this version is known to do damage ({})", release.source),
            format!("use --version {}", release.default),
        );
    }
    Ok(release.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for release in all().unwrap() {
            assert_eq!(release.default.line(), release.line);
            assert!(release.known_good.contains(&release.default), "{}", release.line);
            assert!(!release.known_bad.contains(&release.default), "{}", release.line);
            assert!(release.postgresql_min <= release.postgresql_max);
            assert!(!release.source.is_empty() && !release.released.is_empty());
        }
    }

    #[test]
    fn bad_and_unknown_versions_are_refused_before_anything_else() {
        let refuse = |v: &str| of(&v.parse().unwrap()).unwrap_err();
        assert_eq!(refuse("2026.8.2").exit_code(), Exit::Usage);
        assert!(refuse("2026.8.2").to_string().contains("2026.8.3"));
        assert!(refuse("2031.1.0").to_string().contains("2026.8"));
        assert!(of(&"2026.8.4".parse().unwrap()).is_ok(), "a newer patch of a known line is taken");
    }
}
