//! A file of ours that is not needed any more.

use crate::error::Result;
use crate::event::Sink;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;

/// A file that should not be there. One that others made stays.
#[derive(Debug)]
pub struct Gone {
    /// The name that it was claimed under.
    pub id: Id,
    /// Where.
    pub path: PathBuf,
    /// Why it is not needed.
    pub why: &'static str,
}

/// It is removed.
#[derive(Debug)]
pub struct Remove;

impl Resource for Gone {
    type Found = bool;
    type Act = Remove;

    fn id(&self) -> Id {
        self.id.clone()
    }

    fn aim(&self) -> String {
        format!("remove {}: {}", self.path.display(), self.why)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        Ok(Seen::Now(host.stat(&self.path)?.is_some()))
    }

    fn diff(&self, found: &bool, standing: &Standing) -> Verdict<Remove> {
        match (found, standing) {
            (true, Standing::Claimed(_)) => Verdict::of(vec![Planned::remove(Remove, self.aim())]),
            (true, Standing::Unclaimed) | (false, _) => Verdict::Converged,
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Remove, _: &dyn Sink) -> Result<()> {
        host.remove(&self.path)
    }
}
