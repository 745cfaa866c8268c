//! One backup in one file: a plain archive of its folder.

use super::manifest::Manifest;
use super::part::copy;
use super::shelf::{self, Shelved};
use super::{guide, manifest};
use crate::error::{Failure, Result};
use crate::host::store::{create_named, open_trusted};
use crate::host::{Reader, Writer};
use std::io::{self, Read};
use std::path::Path;

/// Writes it, and tells its size in bytes. The file is the administrator's own to place.
///
/// # Errors
/// If the file exists, or cannot be written.
pub fn export(host: &Reader, backup: &Shelved, file: &Path) -> Result<u64> {
    let fail = |error: io::Error| Failure::new("writing", file.display(), error);
    let manifest = backup.readable()?;
    create_named(file, |out| {
        let mut archive = tar::Builder::new(out);
        let others = [manifest::NAME, guide::NAME, shelf::SUMS];
        let parts = manifest.parts.iter().map(|part| part.name.as_str());
        for name in others.into_iter().chain(parts) {
            let opened = open_trusted(&backup.path.join(name))?;
            let bytes = opened.metadata().map_err(fail)?.len();
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(manifest.time.as_second()).unwrap_or(0));
            let read = Stoppable { host, inner: opened };
            let added = archive.append_data(&mut header, format!("{}/{name}", backup.id), read);
            host.check_interrupt()?;
            added.map_err(fail)?;
        }
        archive.into_inner().map_err(fail)?;
        out.sync_all().map_err(fail)?;
        out.metadata().map(|meta| meta.len()).map_err(fail)
    })
}

/// Ends when somebody wants to stop.
struct Stoppable<'s, R> {
    host: &'s Reader,
    inner: R,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.host.go_on()?;
        self.inner.read(buffer)
    }
}

/// Reads a file that [`export`] wrote, or a folder that lies where others could change it, into the folder of
/// backups, and gives the backup, and whether it is new there: one of that name that is there already is used
/// as it is.
///
/// # Errors
/// With [`Exit::Damaged`](crate::error::Exit::Damaged) if it is no such file.
pub fn import(host: &Writer<'_>, from: &Path, dir: &Path) -> Result<(Shelved, bool)> {
    let (id, parts) = match from.is_dir() {
        true => of_folder(host, from)?,
        false => (named(host, from)?, Vec::new()),
    };
    let path = dir.join(&id);
    if host.stat(&path)?.is_some() {
        return Ok((shelf::find(host, dir, &id)?, false));
    }
    if host.stat(dir)?.is_none() {
        host.create_private_dir(dir)?;
    }
    let partial = shelf::partial(host, dir, &id);
    host.remove_tree(&partial)?;
    host.create_private_dir(&partial)?;
    let filled = match from.is_dir() {
        true => copied(host, (from, &parts), &partial),
        false => unpacked(host, from, (&id, &partial)),
    };
    let read = filled
        .and_then(|()| shelf::adopt(host, &partial, &id))
        .and_then(|()| host.publish_dir(&partial, &path));
    match read {
        Ok(()) => Ok((shelf::find(host, dir, &id)?, true)),
        Err(failure) => Err(failure.tidied(host.remove_tree(&partial))),
    }
}

// The backup that lies in a folder, whatever that is called, and its files.
fn of_folder(host: &Reader, from: &Path) -> Result<(String, Vec<String>)> {
    let path = from.join(manifest::NAME);
    let mut text = Vec::new();
    let read = host.open_named(&path)?.take(manifest::LARGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Failure::new("reading", path.display(), error))?;
    let manifest = Manifest::parse(&text, &path.display().to_string())?;
    let parts = manifest.parts.into_iter().map(|part| part.name);
    let others = [manifest::NAME, guide::NAME, shelf::SUMS].map(str::to_owned);
    match shelf::time_of(&manifest.id) {
        Some(_) => Ok((manifest.id, others.into_iter().chain(parts).collect())),
        None => Err(super::damaged(&path.display().to_string(), "it names no backup")),
    }
}

fn copied(host: &Writer<'_>, (from, names): (&Path, &[String]), partial: &Path) -> Result<()> {
    for name in names {
        if !is_plain(name) {
            return Err(super::damaged(name, "it is no name of a part"));
        }
        put(host, host.open_named(&from.join(name))?, &partial.join(name))?;
    }
    Ok(())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.')
}

fn put(host: &Writer<'_>, mut from: impl Read, to: &Path) -> Result<()> {
    let mut out = host.create_file(to)?;
    let copied = copy(&mut from, &mut out, |_| host.go_on()).and_then(|_| out.sync_all());
    host.check_interrupt()?;
    copied.map_err(|error| Failure::new("writing", to.display(), error))
}

// The backup that its first member is of.
fn named(host: &Reader, file: &Path) -> Result<String> {
    let mut archive = tar::Archive::new(host.open_named(file)?);
    let read = |error: io::Error| super::damaged(&file.display().to_string(), error.to_string());
    match archive.entries().map_err(read)?.next() {
        None => Err(super::damaged(&file.display().to_string(), "it is empty")),
        Some(entry) => member(file, &entry.map_err(read)?).map(|(id, _)| id),
    }
}

// Backup and file; nothing else has a place in there.
fn member<R: Read>(file: &Path, entry: &tar::Entry<'_, R>) -> Result<(String, String)> {
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let regular = entry.header().entry_type() == tar::EntryType::Regular;
    match path.split_once('/') {
        Some((id, name)) if regular && shelf::time_of(id).is_some() && is_plain(name) => {
            Ok((id.to_owned(), name.to_owned()))
        }
        _ => {
            let why = format!("{path:?} is no part of a backup");
            Err(super::damaged(&file.display().to_string(), why))
        }
    }
}

fn unpacked(host: &Writer<'_>, file: &Path, (id, partial): (&str, &Path)) -> Result<()> {
    let broken = |why: String| super::damaged(&file.display().to_string(), why);
    let read = |error: io::Error| broken(error.to_string());
    let mut archive = tar::Archive::new(host.open_named(file)?);
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        let (of, name) = member(file, &entry)?;
        if of != id {
            return Err(broken("it holds more than one backup".into()));
        }
        put(host, &mut entry, &partial.join(name))?;
    }
    Ok(())
}
