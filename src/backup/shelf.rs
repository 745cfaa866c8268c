//! The folder that backups are in: what is there, and what is known of each.

use super::manifest::{self, Manifest, Part};
use crate::error::{Exit, Failure, Result};
use crate::host::files::{self, Perms};
use crate::host::store::open_trusted;
use crate::host::{Reader, Writer};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The sums of all files of a backup, as `sha256sum -c` reads them.
pub(super) const SUMS: &str = "SHA256SUMS";
/// What a proof has shown; made after the backup, and so no part of its sums.
const PROOF: &str = "proof.json";

/// That there is a copy elsewhere.
const COPY: &str = "offsite.json";

/// A copy on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Number of this shape.
    pub format: u32,
    /// When it was made (UTC).
    pub time: Timestamp,
    /// Where it is.
    pub place: String,
}

/// The result of the last deep look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Number of this shape.
    pub format: u32,
    /// When (UTC).
    pub time: Timestamp,
    /// Version of the program that looked.
    pub program: String,
    /// Was it restored into scratch places, and all of it as the manifest says?
    pub proven: bool,
    /// What was wrong.
    pub findings: Vec<String>,
}

/// A backup in the folder.
#[derive(Debug, Clone, Serialize)]
pub struct Shelved {
    /// Its name.
    pub id: String,
    /// When it was made, by its name (UTC).
    pub time: Timestamp,
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself; or why that is not known.
    #[serde(skip)]
    pub manifest: std::result::Result<Manifest, String>,
    /// The last deep look, if there was one.
    pub proof: Option<Proof>,
    /// The last copy on another machine.
    pub offsite: Option<Copy>,
}

impl Shelved {
    /// Whole, as far as is known without reading it.
    pub fn is_good(&self) -> bool {
        self.manifest.is_ok() && self.proof.as_ref().is_none_or(|proof| proof.proven)
    }

    /// May it be of the installation of this name on this host? Of one that is damaged nobody knows.
    pub fn may_be_of(&self, host: &str, domain: &str) -> bool {
        let of = |manifest: &Manifest| manifest.host == host && manifest.domain == domain;
        self.manifest.as_ref().map_or(true, of)
    }

    /// Did a restore make it, of what was there before?
    pub fn is_safety(&self) -> bool {
        let tag = self.manifest.as_ref().ok().and_then(|manifest| manifest.tag.as_deref());
        tag == Some(super::create::SAFETY)
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// With [`Exit::Damaged`] if that is not known.
    pub fn readable(&self) -> Result<&Manifest> {
        self.manifest.as_ref().map_err(|why| {
            Failure::new("reading the backup", &self.id, why.as_str())
                .next("authentik-install backup list")
                .exit(Exit::Damaged)
        })
    }

    /// Proven by a deep look.
    pub fn is_proven(&self) -> bool {
        self.manifest.is_ok() && self.proof.as_ref().is_some_and(|proof| proof.proven)
    }
}

// Where several hosts share a folder each throws away what it has begun itself.
fn partial_start(host: &Reader) -> String {
    format!(".partial-{}-", host.host_name().replace('/', "-"))
}

/// Where something is made that is not whole yet.
pub(super) fn partial(host: &Reader, dir: &Path, name: &str) -> PathBuf {
    dir.join(partial_start(host) + name)
}

/// What this host has begun and not brought to its end.
///
/// # Errors
/// If the folder cannot be listed.
pub(super) fn partials(host: &Reader, dir: &Path) -> Result<Vec<PathBuf>> {
    let start = partial_start(host);
    let names = host.names_in(dir)?.into_iter().filter(|name| name.starts_with(&start));
    Ok(names.map(|name| dir.join(name)).collect())
}

/// The names of the backups that this host made of the installation of this name, and how many others there
/// are: of other hosts, and those of which nobody knows.
///
/// # Errors
/// If the folder cannot be listed.
pub fn own_and_others(host: &Reader, dir: &Path, domain: &str) -> Result<(Vec<String>, usize)> {
    let name = host.host_name();
    let ids = host.names_in(dir)?.into_iter().filter(|id| time_of(id).is_some());
    // One that lacks a part still says whose it is.
    let is_own = |id: &String| {
        read(host, &dir.join(id)).is_ok_and(|known| known.host == name && known.domain == domain)
    };
    let (own, others): (Vec<String>, Vec<String>) = ids.partition(is_own);
    Ok((own, others.len()))
}

/// Throws away what this host has begun and not brought to its end.
///
/// # Errors
/// If something of it cannot be removed.
pub fn discard_partials(host: &Writer<'_>, dir: &Path) -> Result<()> {
    partials(host, dir)?.iter().try_for_each(|path| host.remove_tree(path))
}

/// Throws a backup away. Under a name of its own first: a half of one is never called a backup.
///
/// # Errors
/// If something of it cannot be removed.
pub fn discard(host: &Writer<'_>, dir: &Path, id: &str) -> Result<()> {
    let doomed = partial(host, dir, id);
    host.publish_dir(&dir.join(id), &doomed)?;
    host.remove_tree(&doomed)
}

/// The time that the name of a backup says; `None` if it is no such name.
pub(super) fn time_of(id: &str) -> Option<Timestamp> {
    let (time, rest) = id.split_once('-')?;
    let hex = rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
    hex.then(|| jiff::tz::TimeZone::UTC.to_timestamp(time).ok()).flatten()
}

/// Does it name a backup, and no file?
pub fn is_name(wanted: &str) -> bool {
    wanted == "latest" || time_of(wanted).is_some()
}

/// All backups of a folder, newest first; none if there is no such folder.
///
/// # Errors
/// If the folder cannot be listed.
pub fn list(host: &Reader, dir: &Path) -> Result<Vec<Shelved>> {
    let names = host.names_in(dir)?.into_iter();
    let mut all: Vec<Shelved> = names
        .filter_map(|id| {
            let time = time_of(&id)?;
            Some(look(host, dir.join(&id), id, time))
        })
        .collect();
    all.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(all)
}

/// Those that this host made of the installation of this name, and those of which nobody knows.
///
/// # Errors
/// If the folder cannot be listed.
pub fn list_own(host: &Reader, dir: &Path, domain: &str) -> Result<Vec<Shelved>> {
    let name = host.host_name();
    Ok(list(host, dir)?.into_iter().filter(|one| one.may_be_of(&name, domain)).collect())
}

fn look(host: &Reader, path: PathBuf, id: String, time: Timestamp) -> Shelved {
    let manifest = read(host, &path).and_then(|manifest| all_there(host, &path, manifest));
    let manifest = manifest.map_err(|failure| failure.summary());
    let (proof, offsite) = (beside(host, &path, PROOF), beside(host, &path, COPY));
    Shelved { id, time, path, manifest, proof, offsite }
}

// What a full disk or a careless hand leaves is seen without reading it.
fn all_there(host: &Reader, path: &Path, manifest: Manifest) -> Result<Manifest> {
    for Part { name, stored, .. } in &manifest.parts {
        let why = match host.stat(&path.join(name))?.map(|meta| meta.bytes) {
            None => format!("{name} is missing"),
            Some(bytes) if bytes != stored.bytes => super::sized(name, bytes, stored),
            Some(_) => continue,
        };
        return Err(super::damaged(name, why));
    }
    Ok(manifest)
}

// What was noted later; nothing, if it is not understood.
fn beside<T: DeserializeOwned>(host: &Reader, path: &Path, name: &str) -> Option<T> {
    let file = host.read(&path.join(name)).ok().flatten()?;
    serde_json::from_slice(&file.bytes).ok()
}

/// One backup by its name, by `latest` (of those that are good, as far as is known), or by the path of its
/// folder.
///
/// # Errors
/// With [`Exit::Nothing`] if there is none.
pub fn find(host: &Reader, dir: &Path, wanted: &str) -> Result<Shelved> {
    let none = |why: &str| {
        Failure::new("looking for the backup", wanted, why)
            .next("authentik-install backup list")
            .exit(Exit::Nothing)
    };
    if wanted.contains('/') {
        let path = PathBuf::from(wanted);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !path.is_absolute() || host.stat(&path.join(manifest::NAME))?.is_none() {
            return Err(none("it is no absolute path of a folder with a manifest in it"));
        }
        let time = time_of(&name).unwrap_or_default();
        return Ok(look(host, path, name, time));
    }
    let mut all = list(host, dir)?;
    match wanted {
        "latest" => {
            // What a restore has put aside is not what somebody means who restores again.
            all.retain(|one| one.manifest.is_ok() && !one.is_safety());
            // Nor is one that was found to be damaged, as long as there is another.
            if all.iter().any(Shelved::is_good) {
                all.retain(Shelved::is_good);
            }
            let of =
                |one: &Shelved| one.manifest.as_ref().map_or("", |known| &known.host).to_owned();
            all = of_one_host(all, &host.host_name(), of).map_err(|why| none(&why))?;
        }
        id => all.retain(|one| one.id == id),
    }
    let found = all.into_iter().next();
    found.ok_or_else(|| none(&format!("there is none of that name in {}", dir.display())))
}

/// Those of this host; where it has none, those of the only other one.
///
/// # Errors
/// In words, if there are several others: the newest of all may be of another installation.
pub(super) fn of_one_host<T>(
    mut all: Vec<T>,
    own: &str,
    of: impl Fn(&T) -> String,
) -> std::result::Result<Vec<T>, String> {
    let hosts: BTreeSet<String> = all.iter().map(&of).collect();
    match (hosts.contains(own), hosts.len()) {
        (true, _) => {
            all.retain(|one| of(one) == own);
            Ok(all)
        }
        (false, 0 | 1) => Ok(all),
        _ => Err(format!(
            "there are some of {}, and none of {own}: name the one that is meant",
            hosts.into_iter().collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Takes a backup that came from elsewhere for one of here: root's alone, and only the files that its
/// manifest knows. What was noted of it there was noted by somebody else.
///
/// # Errors
/// With [`Exit::Damaged`] if it is another one than `id`, or not what it was.
pub(super) fn adopt(host: &Writer<'_>, path: &Path, id: &str) -> Result<()> {
    let manifest = read(host, path)?;
    if manifest.id != id {
        let why = format!("it is the backup {}, not {id}", manifest.id);
        return Err(super::damaged(manifest::NAME, why));
    }
    let known: BTreeSet<&str> = [manifest::NAME, super::guide::NAME, SUMS]
        .into_iter()
        .chain(manifest.parts.iter().map(|part| part.name.as_str()))
        .collect();
    for name in host.names_in(path)? {
        match known.contains(name.as_str()) {
            true => host.set_perms(&path.join(name), Perms::root(0o600))?,
            false => host.remove_tree(&path.join(name))?,
        }
    }
    let backup = look(host, path.to_owned(), id.to_owned(), Timestamp::UNIX_EPOCH);
    match super::check::sums(host, &backup)?.into_iter().next() {
        None => Ok(()),
        Some(finding) => Err(super::damaged(id, finding)),
    }
}

/// The manifest of the backup in a folder.
///
/// # Errors
/// If it is missing, broken, or of a newer version.
pub(super) fn read(host: &Reader, path: &Path) -> Result<Manifest> {
    let path = path.join(manifest::NAME);
    if host.stat(&path)?.is_none() {
        return Err(super::damaged(manifest::NAME, "it is missing"));
    }
    let mut text = Vec::new();
    let read = open_trusted(&path)?.take(manifest::LARGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Failure::new("reading", path.display(), error))?;
    Manifest::parse(&text, &path.display().to_string())
}

/// Writes down what a deep look has shown.
///
/// # Errors
/// If it cannot be written.
pub(super) fn note(host: &Reader, path: &Path, proof: &Proof) -> Result<()> {
    put(host, &path.join(PROOF), proof)
}

/// Writes down that there is a copy elsewhere.
///
/// # Errors
/// If it cannot be written.
pub(super) fn note_copy(host: &Reader, path: &Path, place: &str) -> Result<()> {
    let copy = Copy { format: 1, time: Timestamp::now(), place: place.to_owned() };
    put(host, &path.join(COPY), &copy)
}

fn put(host: &Reader, path: &Path, noted: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(noted)
        .map_err(|error| Failure::new("writing", path.display(), error.to_string()))?;
    files::publish(host, path, &text, 0o600)
}

/// The text of the file of sums.
pub(super) fn sums(manifest: &Manifest, of_manifest: &str, of_guide: &str) -> String {
    let parts = manifest.parts.iter().map(|part| (part.stored.sha256.as_str(), part.name.as_str()));
    let others = [(of_guide, super::guide::NAME), (of_manifest, manifest::NAME)];
    parts.chain(others).map(|(sum, name)| format!("{sum}  {name}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_one_is_of_one_host() {
        let of = |one: &&str| (*one).to_owned();
        assert_eq!(of_one_host(vec!["a", "b", "a"], "a", of), Ok(vec!["a", "a"]));
        assert_eq!(of_one_host(vec!["b", "b"], "a", of), Ok(vec!["b", "b"]));
        assert!(of_one_host(vec!["b", "c"], "a", of).unwrap_err().contains("b, c"));
        assert_eq!(of_one_host(Vec::<&str>::new(), "a", of), Ok(vec![]));
    }

    #[test]
    fn names_of_backups_tell_their_time() {
        let time = time_of("20261125T041500Z-00ab1f").unwrap();
        assert_eq!(time.to_string(), "2026-11-25T04:15:00Z");
        for other in ["lost+found", ".partial-20261125T041500Z-00ab1f", "20261125T041500Z", "x-y"] {
            assert_eq!(time_of(other), None, "{other}");
        }
    }
}
