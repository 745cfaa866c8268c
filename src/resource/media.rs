//! The folder for uploads, inside the data folder that belongs to the container: made from within
//! the container's own user namespace, since root writes nothing in a tree that others own.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::facts::Ids;
use crate::host::accounts::Account;
use crate::host::files::Meta;
use crate::host::{Reader, Writer};
use crate::resource::directory::Directory;
use crate::resource::user::User;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;

/// A folder that belongs to the image's user.
#[derive(Debug)]
pub struct Media {
    /// Where.
    pub path: PathBuf,
    /// The service user.
    pub user: String,
    /// The image's user on the host, once known.
    pub owner: Option<Ids>,
    /// The image's user in the service user's own namespace.
    pub inner: u32,
    /// The folder that it is in.
    pub parent: Id,
}

/// It is made and handed over.
#[derive(Debug)]
pub struct Make;

impl Media {
    fn account(&self, host: &Reader) -> Result<Account> {
        host.account(&self.user)?
            .ok_or_else(|| Failure::new("making", self.path.display(), "the user is gone"))
    }
}

impl Resource for Media {
    type Found = Option<Meta>;
    type Act = Make;

    fn id(&self) -> Id {
        Directory::id_of(&self.path)
    }

    fn aim(&self) -> String {
        format!("make {} for the container's user", self.path.display())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        if self.owner.is_none() {
            return Ok(Seen::After(User::id_of(&self.user)));
        }
        if self.path.parent().map(|parent| host.stat(parent)).transpose()?.flatten().is_none() {
            return Ok(Seen::After(self.parent.clone()));
        }
        Ok(Seen::Now(host.stat(&self.path)?))
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Make> {
        let owned = found.as_ref().zip(self.owner).is_some_and(|(meta, owner)| {
            (meta.perms.uid, meta.perms.gid) == (owner.uid, owner.gid)
        });
        match found {
            Some(_) if owned => Verdict::Converged,
            Some(_) => Verdict::of(vec![Planned::change(Make, self.aim())]),
            None => Verdict::of(vec![Planned::create(Make, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Make, _: &dyn Sink) -> Result<()> {
        let account = self.account(host)?;
        let path = self.path.display().to_string();
        host.unshare(&account, ["mkdir", "-p", "-m", "0750", &path])?;
        host.unshare(
            &account,
            ["chown", "--no-dereference", &format!("{0}:{0}", self.inner), &path],
        )
    }
}
