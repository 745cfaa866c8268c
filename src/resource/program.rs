//! This program itself, where timers and people find it.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::{Perms, Put};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;

/// The program at this path. One that is there already, from a package or an update, is left alone.
#[derive(Debug)]
pub struct Program {
    /// Where.
    pub path: PathBuf,
}

/// Copy the one that runs.
#[derive(Debug)]
pub struct Copy;

impl Resource for Program {
    type Found = bool;
    type Act = Copy;

    fn id(&self) -> Id {
        Id::new("program", self.path.display())
    }

    fn aim(&self) -> String {
        format!("put this program at {}", self.path.display())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        Ok(Seen::Now(host.stat(&self.path)?.is_some()))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<Copy> {
        match found {
            true => Verdict::Converged,
            false => Verdict::of(vec![Planned::create(Copy, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Copy, _: &dyn Sink) -> Result<()> {
        host.put(&self.path, &host.own_program()?, Perms::root(0o755), Put::New)
    }
}
