//! A folder of ours with all that was put into it since, or a file whose content does not matter:
//! authentik's data, backups, container storage, this program.

use crate::error::Result;
use crate::event::Sink;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;

/// It should not be there. One that others made stays, with all that is in it.
#[derive(Debug)]
pub struct TreeGone {
    /// The name that it was claimed under.
    pub id: Id,
    /// Where.
    pub path: PathBuf,
}

/// What is there.
#[derive(Debug)]
pub struct Found {
    exists: bool,
    mount: Option<PathBuf>,
}

/// Remove it.
#[derive(Debug)]
pub struct Remove;

impl Resource for TreeGone {
    type Found = Found;
    type Act = Remove;

    fn id(&self) -> Id {
        self.id.clone()
    }

    fn aim(&self) -> String {
        format!("delete {}, with all that is in it", self.path.display())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let exists = host.stat(&self.path)?.is_some();
        let mount = host.mounts_in(&self.path)?.into_iter().next();
        Ok(Seen::Now(Found { exists, mount }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Remove> {
        match (found, standing) {
            (Found { exists: false, .. }, _) => Verdict::Gone,
            (_, Standing::Unclaimed) => Verdict::Converged,
            (Found { mount: Some(mount), .. }, _) => Verdict::foreign(
                format!(
                    "a file system is mounted on {}, and is not ours to empty",
                    mount.display()
                ),
                format!("umount {}", mount.display()),
            ),
            _ => Verdict::of(vec![Planned::remove(Remove, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Remove, _: &dyn Sink) -> Result<()> {
        host.remove_tree(&self.path)
    }
}
