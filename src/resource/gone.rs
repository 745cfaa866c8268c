//! Something of ours that is not needed any more.

use crate::error::Result;
use crate::event::Sink;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use rustix::fs::FileType;
use std::path::PathBuf;

/// A file, or a folder with nothing in it, that should not be there. What others made stays.
#[derive(Debug)]
pub struct Gone {
    /// The name that it was claimed under.
    pub id: Id,
    /// Where.
    pub path: PathBuf,
    /// Why it is not needed.
    pub why: &'static str,
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or a folder that holds something.
    Nothing,
    /// A file.
    File,
    /// An empty folder.
    Folder,
}

impl Resource for Gone {
    type Found = Found;
    type Act = Found;

    fn id(&self) -> Id {
        self.id.clone()
    }

    fn aim(&self) -> String {
        format!("remove {}: {}", self.path.display(), self.why)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let meta = host.stat(&self.path)?;
        Ok(Seen::Now(match meta.map(|meta| meta.kind) {
            Some(FileType::Directory) if host.is_empty_dir(&self.path)? => Found::Folder,
            None | Some(FileType::Directory) => Found::Nothing,
            Some(_) => Found::File,
        }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Found> {
        match (found, standing) {
            (Found::Nothing, _) | (_, Standing::Unclaimed) => Verdict::Converged,
            (_, Standing::Claimed(_)) => Verdict::of(vec![Planned::remove(*found, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, act: &Found, _: &dyn Sink) -> Result<()> {
        match act {
            Found::Folder => host.remove_dir(&self.path),
            Found::File | Found::Nothing => host.remove(&self.path),
        }
    }
}
