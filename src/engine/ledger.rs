//! The ledger of claims: what we made or were about to make, and how we know it again.
//!
//! A claim is written and synced *before* the thing is created. So after a kill at any point the
//! next run knows that the thing is ours. Nothing else is remembered; the host is the truth.

use crate::error::{Exit, Failure, Result};
use crate::host::files::{Perms, Put};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Mark, Standing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DIR: &str = "/var/lib/authentik-install";
const FORMAT: u32 = 1;
/// Old contents of a file that we still know as ours: enough for a few versions back.
const MARKS_KEPT: usize = 8;

/// How far a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// About to be made.
    Intended,
    /// Made and seen.
    Made,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    state: State,
    /// When it was first intended (UTC).
    since: String,
    /// SHA-256 of contents that are ours.
    #[serde(default)]
    marks: Vec<String>,
}

/// Entries of a newer version that are not understood are kept as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Written {
    format: u32,
    claims: BTreeMap<String, Claim>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// The ledger, as it was read.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
    written: Written,
}

impl Ledger {
    /// Reads it; a host without one has an empty one.
    ///
    /// # Errors
    /// If it cannot be read, or was written by a newer version in another format.
    pub fn read(host: &Reader) -> Result<Self> {
        let path = Path::new(DIR).join("ledger.json");
        let fail =
            |why: String| Failure::new("reading the ledger", path.display(), why).exit(Exit::Unfit);
        let written = match host.read(&path)? {
            None => Written { format: FORMAT, claims: BTreeMap::new(), unknown: BTreeMap::new() },
            Some(file) => serde_json::from_slice(&file.bytes).map_err(|error| {
                fail(error.to_string()).next(format!(
                    "restore it from a backup, or move it away: mv {0} {0}.broken",
                    path.display()
                ))
            })?,
        };
        if written.format != FORMAT {
            return Err(fail(format!(
                "it has the format {}, this version knows {FORMAT}",
                written.format
            ))
            .next("use the newer authentik-install that wrote it"));
        }
        Ok(Ledger { path, written })
    }

    /// Is nothing ours yet?
    pub fn is_empty(&self) -> bool {
        self.written.claims.is_empty()
    }

    /// The names of everything that is ours.
    pub fn claims(&self) -> Vec<Id> {
        self.written.claims.keys().map(|id| Id::written(id)).collect()
    }

    /// Throws it away, with what else is remembered here: nothing is ours any more.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn delete(host: &Writer<'_>) -> Result<()> {
        host.remove_tree(Path::new(DIR))
    }

    /// Is this ours?
    pub fn standing(&self, id: &Id) -> Standing {
        match self.written.claims.get(id.as_str()) {
            Some(claim) => Standing::Claimed(Mark(claim.marks.clone())),
            None => Standing::Unclaimed,
        }
    }

    /// Writes down, synced, that this is about to be made or rewritten.
    ///
    /// # Errors
    /// If the ledger cannot be written; then the thing must not be made.
    pub fn intend(&mut self, host: &Writer<'_>, id: &Id, mark: Mark) -> Result<()> {
        let now = jiff::Timestamp::now();
        let claim = self.written.claims.entry(id.as_str().to_owned()).or_insert_with(|| Claim {
            state: State::Intended,
            since: format!("{now:.0}"),
            marks: Vec::new(),
        });
        for mark in mark.0 {
            claim.marks.retain(|known| *known != mark);
            claim.marks.push(mark);
        }
        let surplus = claim.marks.len().saturating_sub(MARKS_KEPT);
        claim.marks.drain(..surplus);
        self.write(host)
    }

    /// Writes down that it was made. If this is lost the claim still stands.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn made(&mut self, host: &Writer<'_>, id: &Id) -> Result<()> {
        match self.written.claims.get_mut(id.as_str()) {
            Some(claim) if claim.state == State::Intended => {
                claim.state = State::Made;
                self.write(host)
            }
            _ => Ok(()),
        }
    }

    /// Writes down that it was removed: what appears there later is somebody else's.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn gone(&mut self, host: &Writer<'_>, id: &Id) -> Result<()> {
        match self.written.claims.remove(id.as_str()) {
            Some(_) => self.write(host),
            None => Ok(()),
        }
    }

    fn write(&self, host: &Writer<'_>) -> Result<()> {
        let dir = Path::new(DIR);
        if host.stat(dir)?.is_none() {
            host.create_dir(dir, Perms::root(0o700))?;
        }
        let text = serde_json::to_vec_pretty(&self.written)
            .map_err(|error| Failure::new("writing", self.path.display(), error.to_string()))?;
        host.put(&self.path, &text, Perms::root(0o600), Put::Replace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_version_wrote_is_kept() {
        let text = r#"{"format":1,"claims":{"user:authentik":{"state":"made","since":"2026-11-25T00:00:00Z","later":1}},"later":{"x":1}}"#;
        let written: Written = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&written).unwrap();
        assert!(again.contains("\"later\":{\"x\":1}"), "{again}");
    }
}
