//! What authentik has written, handed over to the id that its user has from now on.
//!
//! Switching the user namespace mode changes that id. The folder's own owner is changed last of
//! all, so a killed run is gone on with by the next one.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::facts::Ids;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::workload::POD;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;
use std::time::Duration;

/// A tree that belongs to the container's user.
#[derive(Debug)]
pub struct Handover {
    /// Its top.
    pub path: PathBuf,
    /// The service user.
    pub user: String,
    /// The image's user on the host in the other mode.
    pub from: Option<Ids>,
    /// The image's user in the service user's own namespace, as it should be.
    pub inner: u32,
}

/// Stop, hand over.
#[derive(Debug)]
pub struct HandOver;

impl Resource for Handover {
    /// Does it belong to the id of the other mode?
    type Found = bool;
    type Act = HandOver;

    fn id(&self) -> Id {
        Id::new("handover", self.path.display())
    }

    fn aim(&self) -> String {
        format!(
            "stop authentik and hand {} over to the container's new user id",
            self.path.display()
        )
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        let meta = host.stat(&self.path)?;
        Ok(Seen::Now(
            meta.zip(self.from).is_some_and(|(meta, from)| {
                (meta.perms.uid, meta.perms.gid) == (from.uid, from.gid)
            }),
        ))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<HandOver> {
        match found {
            true => Verdict::of(vec![Planned::run(HandOver, self.aim())]),
            false => Verdict::Converged,
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &HandOver, _: &dyn Sink) -> Result<()> {
        let account = host
            .account(&self.user)?
            .ok_or_else(|| Failure::new("handing over", self.path.display(), "the user is gone"))?;
        let manager = Manager::User(&account);
        // Also what writes there now has the old id.
        if host.unit(manager, POD)?.active != "inactive" {
            host.unit_job(manager, "stop", &[POD], Duration::from_secs(180))?;
        }
        let (path, owner) = (self.path.display().to_string(), format!("{0}:{0}", self.inner));
        let chown = ["chown", "--no-dereference", &owner];
        let all = ["find", &path, "-mindepth", "1", "-exec"];
        host.unshare(&account, [&all[..], &chown, &["{}", "+"]].concat())?;
        host.unshare(&account, [&chown[..], &[&path]].concat())
    }
}
