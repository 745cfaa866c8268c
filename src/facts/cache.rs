//! The host's Valkey, for the lines that need one: where it listens, who else uses it, and what
//! opens it.

use crate::data::distro;
use crate::error::Result;
use crate::host::Reader;
use crate::host::files::Perms;
use crate::host::valkey::{Answer, Refusal, Valkey};
use crate::secret::Secret;
use crate::settings::Settings;
use std::path::{Path, PathBuf};

/// A Valkey and our way into it.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Its unit.
    pub valkey: Valkey,
    /// The socket that it listens on, with owner and mode.
    pub socket: Option<(PathBuf, Perms)>,
    /// Folder for a socket of ours.
    pub dir: PathBuf,
    /// What it answers; `None` if it lets nobody in.
    pub answer: Option<Answer>,
    /// Who is let in.
    pub guard: Guard,
    /// Is the socket one that we set up?
    pub socket_is_ours: bool,
    /// Number of the database that authentik uses already.
    pub database: Option<u16>,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// Everybody.
    Open {
        /// Others use it, so a password would shut them out.
        shared: bool,
    },
    /// Whoever knows the password that we have set.
    Ours,
    /// Whoever knows the password of its owner, and we do.
    Theirs,
    /// Whoever knows a password that we have not been given.
    Locked,
    /// Nobody: it does not run, or says why.
    Down(String),
}

/// Our part of its configuration, included by its command.
pub const CONF: &str = "/etc/authentik/valkey.conf";

/// Does its command include our file?
pub fn is_included(valkey: &Valkey) -> bool {
    valkey.command.contains(CONF)
}

/// Looks at it. `None`: there is none.
///
/// # Errors
/// If the host cannot be looked at.
pub fn look(host: &Reader, settings: &Settings) -> Result<Option<Cache>> {
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let units = distro::valkey_units(distro::of(&os_release)?.as_ref());
    let Some(valkey) = host.valkey(&units)? else { return Ok(None) };
    let mut socket = None;
    for path in &valkey.sockets {
        if let Some(meta) = host.stat(path)? {
            socket = Some((path.clone(), meta.perms));
        }
    }
    let conf = match host.read(Path::new(CONF))? {
        Some(file) => Some(zeroize::Zeroizing::new(file.text()?)),
        None => None,
    };
    // A file that somebody took away said what it says by default.
    let sets = |key: &str| match &conf {
        Some(text) => text.lines().any(|line| line.starts_with(key)),
        None => is_included(&valkey),
    };
    let own = secret(host, &settings.paths.secret("cache_password"))?;
    let (answer, guard) =
        open(host, &valkey, &[own.clone(), settings.given.cache_password.clone()]);
    let ours = own.is_some() && sets("requirepass");
    let guard = match guard {
        _ if ours => Guard::Ours,
        Guard::Down(_) if is_included(&valkey) => Guard::Open { shared: true },
        guard => guard,
    };
    let dir = match valkey.runtime_dir.as_os_str().is_empty() {
        true => PathBuf::from("/run/valkey"),
        false => valkey.runtime_dir.clone(),
    };
    let database = remembered(host, &settings.paths.secret("cache_url"))?;
    let socket_is_ours = sets("unixsocket ");
    Ok(Some(Cache { valkey, socket, dir, answer, guard, socket_is_ours, database }))
}

fn secret(host: &Reader, path: &Path) -> Result<Option<Secret>> {
    let file = host.read(path)?;
    Ok(file.and_then(|file| Secret::from_file_bytes(&file.bytes).ok()))
}

fn remembered(host: &Reader, path: &Path) -> Result<Option<u16>> {
    let Some(url) = secret(host, path)? else { return Ok(None) };
    Ok(url.expose().rsplit_once("?db=").and_then(|(_, number)| number.parse().ok()))
}

// Without a password first: an open instance takes none.
fn open(host: &Reader, valkey: &Valkey, passwords: &[Option<Secret>]) -> (Option<Answer>, Guard) {
    let Some(address) = valkey.address() else {
        return (None, Guard::Down(format!("{} does not run", valkey.unit)));
    };
    match host.ask_valkey(&address, None) {
        Ok(answer) => {
            let shared = !answer.keyspace.is_empty() || answer.others > 0 || answer.users > 0;
            return (Some(answer), Guard::Open { shared });
        }
        Err(Refusal::Other(said)) => return (None, Guard::Down(said)),
        Err(Refusal::Password) => {}
    }
    let known = passwords.iter().flatten();
    let mut answers = known.filter_map(|password| host.ask_valkey(&address, Some(password)).ok());
    match answers.next() {
        Some(answer) => (Some(answer), Guard::Theirs),
        None => (None, Guard::Locked),
    }
}
