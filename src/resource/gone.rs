//! Something of ours that is not needed any more.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::{FileNow, Put};
use crate::host::{Reader, Writer};
use crate::resource::file::edit;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict, file};
use rustix::fs::FileType;
use std::path::PathBuf;

/// First words of every file that is written for others to read.
pub const SIGNATURE: &[u8] = b"# Written by authentik-install";

/// A file, or a folder with nothing in it, that should not be there. What others made stays; what
/// somebody wrote into a file of ours is kept beside it.
#[derive(Debug)]
pub struct Gone {
    /// The name that it was claimed under.
    pub id: Id,
    /// Where.
    pub path: PathBuf,
    /// Why it is not needed.
    pub why: &'static str,
    /// Is a file that begins with our first line ours, also where no claim says so? Where everything goes,
    /// and the ledger may be lost; otherwise it is somebody's own, made from ours.
    pub by_first_line: bool,
}

/// What is there.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A folder that holds something.
    Others,
    /// A file.
    File(FileNow),
    /// An empty folder.
    Folder,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Remove the file; what a person had written there is kept beside it.
    File(Option<FileNow>),
    /// Remove the folder.
    Folder,
}

impl Resource for Gone {
    type Found = Found;
    type Act = Act;

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
            Some(FileType::Directory) => Found::Others,
            None => Found::Nothing,
            Some(_) => host.read(&self.path)?.map_or(Found::Nothing, Found::File),
        }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let (act, note) = match (found, standing) {
            (Found::Nothing, _) => return Verdict::Gone,
            (Found::Others, _) | (Found::Folder, Standing::Unclaimed) => {
                return Verdict::Converged;
            }
            (Found::Folder, Standing::Claimed(_)) => (Act::Folder, String::new()),
            // A run that has lost the ledger knows its own by their first line.
            (Found::File(now), Standing::Unclaimed) => {
                match self.by_first_line && now.bytes.starts_with(SIGNATURE) {
                    true => (Act::File(None), String::new()),
                    false => return Verdict::Converged,
                }
            }
            // What holds a secret is claimed without its content.
            (Found::File(_), Standing::Claimed(mark)) if mark.0.is_empty() => {
                (Act::File(None), String::new())
            }
            (Found::File(now), Standing::Claimed(mark)) => {
                let (edited, note) = edit(&self.path, now, mark);
                (Act::File(edited.then(|| now.clone())), note)
            }
        };
        Verdict::of(vec![Planned::remove(act, self.aim() + &note)])
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Folder => host.remove_dir(&self.path),
            Act::File(edited) => {
                if let Some(now) = edited {
                    let kept = file::kept(&self.path);
                    host.put(&kept, &now.bytes, now.meta.perms, Put::Replace)?;
                }
                host.remove(&self.path)
            }
        }
    }
}
