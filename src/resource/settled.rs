//! What an installation was made with and cannot be changed by writing another value: its user, its
//! database, its folders. Another value would begin a new, empty authentik beside the old one.

use crate::error::Result;
use crate::event::Sink;
use crate::host::postgres::START;
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
    /// Where its server is found, once one is: folder of the socket, and port.
    pub server: Option<(PathBuf, u16)>,
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
    uid: u32,
    /// Who has that id; `None`: nobody.
    user: Option<String>,
    database: Option<String>,
    /// Folder of the socket, and port, of the server that has it.
    server: Option<(PathBuf, u16)>,
    /// Folders that were left where they were: the old and the new one.
    left: Option<(PathBuf, PathBuf)>,
}

/// The ids of the users that authentik is installed for.
///
/// # Errors
/// If the units cannot be read.
pub fn uids(host: &Reader) -> Result<Vec<u32>> {
    Ok(units(host)?.into_iter().map(|(uid, _)| uid).collect())
}

/// Where the units say that the database is: folder of the socket, and port.
///
/// # Errors
/// If the units cannot be read.
pub fn servers(host: &Reader) -> Result<Vec<(PathBuf, u16)>> {
    Ok(units(host)?.iter().filter_map(|(_, text)| server(text)).collect())
}

fn says(unit: &str, name: &str) -> Option<String> {
    let start = format!("Environment=AUTHENTIK_POSTGRESQL__{name}=");
    unit.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
}

fn server(unit: &str) -> Option<(PathBuf, u16)> {
    Some((says(unit, "HOST")?.into(), says(unit, "PORT")?.parse().ok()?))
}

// The server's unit, by user id.
fn units(host: &Reader) -> Result<Vec<(u32, String)>> {
    let mut all = Vec::new();
    for name in host.names_in(Path::new(UNITS))? {
        let path = Path::new(UNITS).join(&name).join("authentik-server.container");
        let (Ok(uid), Some(_)) = (name.parse(), host.stat(&path)?) else { continue };
        let Some(file) = host.read(&path)? else { continue };
        let text = file.text()?;
        if text.contains(LABEL_RENDERING) {
            all.push((uid, text));
        }
    }
    Ok(all)
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
        for (uid, text) in units(host)? {
            let (database, server) = (says(&text, "NAME"), server(&text));
            let user = host.account(&uid.to_string())?.map(|account| account.name);
            all.push(Found { left: self.left(host, &text)?, uid, user, database, server });
        }
        Ok(Seen::Now(all))
    }

    fn diff(&self, found: &Vec<Found>, _: &Standing) -> Verdict<Never> {
        for Found { uid, user, database, server, left } in found {
            match (user, self.uid) {
                (Some(other), own) if own != Some(*uid) => {
                    return Verdict::foreign(
                        format!("authentik is installed here for another user, {other} (id {uid})"),
                        format!(
                            "set user in install.toml back to {other}; if {other} got the id of one that was deleted, give it another: usermod --uid NEW {other}"
                        ),
                    );
                }
                (None, Some(own)) => {
                    return Verdict::foreign(
                        format!(
                            "authentik is installed here for the user id {uid}, and its user has the id {own} now"
                        ),
                        format!(
                            "give it back what its files belong to: systemctl stop user@{own}.service; usermod --uid {uid} $(id -un {own})"
                        ),
                    );
                }
                // Gone: it is created with the id that it had.
                _ => {}
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
            if let (Some(old), Some(new), false) = (server, &self.server, self.filled)
                && old != new
            {
                let (dir, port) = (old.0.display(), old.1);
                return Verdict::foreign(
                    format!(
                        "authentik's database is on the server at {dir}, port {port}, which does not run; the one on port {} has none of it",
                        new.1
                    ),
                    format!(
                        "start it: {START}; if nothing was in it yet: authentik-install uninstall"
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
