//! What an installation was made with and cannot be changed by writing another value: its user, its
//! database, its folders. Another value would begin a new, empty authentik beside the old one.

use crate::error::Result;
use crate::event::Sink;
use crate::host::{Reader, Writer};
use crate::resource::workload::LABEL_RENDERING;
use crate::resource::{Id, Resource, Seen, Standing, Verdict};
use std::path::{Path, PathBuf};

const UNITS: &str = "/etc/containers/systemd/users";

/// What the settings say, to be compared with what runs.
#[derive(Debug)]
pub struct Settled {
    /// Id of the service user, once it exists.
    pub uid: Option<u32>,
    /// The database.
    pub database: String,
    /// Does that database hold an installation?
    pub filled: bool,
    /// Folders on the host, and where they are in the container.
    pub mounts: Vec<(PathBuf, String)>,
}

/// Nothing: it is refused, or right.
#[derive(Debug)]
pub enum Never {}

/// What the units of an installation say, and whose they are.
#[derive(Debug)]
pub struct Found {
    uid: String,
    database: Option<String>,
    /// Folders that were left where they were: the old and the new one.
    left: Option<(PathBuf, PathBuf)>,
}

impl Settled {
    fn left(&self, host: &Reader, unit: &str) -> Result<Option<(PathBuf, PathBuf)>> {
        for (path, mount) in &self.mounts {
            let old = unit.lines().find_map(|line| {
                line.strip_prefix("Volume=")?.strip_suffix(mount.as_str())?.strip_suffix(':')
            });
            let Some(old) = old.map(PathBuf::from).filter(|old| old != path) else { continue };
            let empty = |path: &Path| -> Result<bool> {
                Ok(host.stat(path)?.is_none() || host.is_empty_dir(path)?)
            };
            if !empty(&old)? && empty(path)? {
                return Ok(Some((old, path.clone())));
            }
        }
        Ok(None)
    }
}

impl Resource for Settled {
    type Found = Vec<Found>;
    type Act = Never;

    fn id(&self) -> Id {
        Id::new("settled", "authentik")
    }

    fn aim(&self) -> String {
        "look for an installation with other settings".into()
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Vec<Found>>> {
        let mut all = Vec::new();
        for uid in host.names_in(Path::new(UNITS))? {
            let path = Path::new(UNITS).join(&uid).join("authentik-server.container");
            if host.stat(&path)?.is_none() {
                continue;
            }
            let Some(file) = host.read(&path)? else { continue };
            let text = file.text()?;
            if !text.contains(LABEL_RENDERING) {
                continue;
            }
            let name = "Environment=AUTHENTIK_POSTGRESQL__NAME=";
            let database = text.lines().find_map(|line| line.strip_prefix(name));
            let database = database.map(str::to_owned);
            all.push(Found { left: self.left(host, &text)?, uid, database });
        }
        Ok(Seen::Now(all))
    }

    fn diff(&self, found: &Vec<Found>, _: &Standing) -> Verdict<Never> {
        for Found { uid, database, left } in found {
            if self.uid.map(|own| own.to_string()).as_ref() != Some(uid) {
                return Verdict::foreign(
                    format!("authentik is installed here for another user, whose id is {uid}"),
                    format!("set user in install.toml back to: getent passwd {uid}"),
                );
            }
            if let Some(old) =
                database.as_ref().filter(|old| **old != self.database && !self.filled)
            {
                return Verdict::foreign(
                    format!("authentik's database is {old}, not {}, which is empty", self.database),
                    format!(
                        "set database.name back to {old}, or rename it first: ALTER DATABASE {old} RENAME TO {}",
                        self.database
                    ),
                );
            }
            if let Some((old, new)) = left {
                let (old, new) = (old.display(), new.display());
                return Verdict::foreign(
                    format!("authentik's files are in {old}, and {new} is empty"),
                    format!(
                        "set the folder back, or move what is in it first: cp -a {old}/. {new}/"
                    ),
                );
            }
        }
        Verdict::Converged
    }

    fn apply(&self, _: &Writer<'_>, act: &Never, _: &dyn Sink) -> Result<()> {
        match *act {}
    }
}
