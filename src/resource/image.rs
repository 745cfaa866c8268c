//! authentik's image in the storage of the service user, pulled or loaded from an archive.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::accounts::Account;
use crate::host::podman;
use crate::host::{Reader, Writer};
use crate::resource::linger::Linger;
use crate::resource::user::User;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::path::{Path, PathBuf};

/// An image by name and tag.
#[derive(Debug)]
pub struct Image {
    /// Whose storage.
    pub user: String,
    /// Name and tag.
    pub name: String,
    /// An OCI or docker archive that holds it.
    pub archive: Option<PathBuf>,
}

/// It is brought here.
#[derive(Debug)]
pub struct Bring;

impl Image {
    fn account(&self, host: &Reader) -> Result<Account> {
        host.account(&self.user)?
            .ok_or_else(|| Failure::new("bringing the image for", &self.user, "the user is gone"))
    }
}

impl Resource for Image {
    type Found = Option<podman::Image>;
    type Act = Bring;

    fn id(&self) -> Id {
        Id::new("image", &self.name)
    }

    fn aim(&self) -> String {
        match &self.archive {
            None => format!("pull {}", self.name),
            Some(file) => format!("load {} from {}", self.name, file.display()),
        }
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    // Its digest goes into the unit files.
    fn renews_facts(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        let Some(account) = host.account(&self.user)? else {
            return Ok(Seen::After(User::id_of(&self.user)));
        };
        if !host.podman_answers(&account)? {
            return Ok(Seen::After(Linger { user: self.user.clone() }.id()));
        }
        Ok(Seen::Now(host.image(&account, &self.name)?))
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Bring> {
        match found {
            Some(image) if image.runs_here() => Verdict::Converged,
            Some(image) => Verdict::of(vec![Planned::change(
                Bring,
                format!("{}: the one that is here is for {}", self.aim(), image.architecture),
            )]),
            None => Verdict::of(vec![Planned::create(Bring, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Bring, told: &dyn Sink) -> Result<()> {
        let account = self.account(host)?;
        match &self.archive {
            None => host.pull(&account, &self.name, told)?,
            Some(path) => self.load(host, &account, path, told)?,
        }
        match host.image(&account, &self.name)? {
            Some(image) if !image.runs_here() => {
                host.remove_image(&account, &self.name)?;
                let (here, there) = (podman::architecture(), image.architecture);
                Err(Failure::new("bringing", &self.name, format!("it is for {there}, this machine is {here}"))
                    .next(format!("give the image for {here} (made elsewhere by: podman pull --arch {here} IMAGE; podman save -o FILE IMAGE)")))
            }
            // That it is there at all is looked at by the engine.
            _ => Ok(()),
        }
    }
}

impl Image {
    fn load(
        &self,
        host: &Writer<'_>,
        account: &Account,
        path: &Path,
        told: &dyn Sink,
    ) -> Result<()> {
        let names = host
            .load(account, host.open_named(path)?, told)
            .map_err(|failure| failure.about("loading", path.display()))?;
        if names.contains(&self.name) {
            return Ok(());
        }
        Err(Failure::new(
            "loading",
            path.display(),
            format!("it holds {}, not {}", names.join(", "), self.name),
        )
        .next("give --image and --version of what it holds, or save the right image"))
    }
}
