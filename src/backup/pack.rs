//! Folders into one archive, while others write in them. Whatever they do, the archive stays whole:
//! a file takes exactly the room that its head announces, and is read again if it has changed since.

use super::manifest::{FileRow, RowKind};
use super::owner::{Maps, Owner};
use super::part::{Hashing, copy};
use super::unpack::leads_out;
use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::tree::{Entry, Kind, Listing, Tree};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A file that changes each time that it is read is given up then.
const TRIES: usize = 3;
/// Bytes of which an archive's member takes a whole number (pax(1), "ustar interchange format").
const BLOCK: u64 = 512;
/// Trees in which the containers write.
const WRITTEN: [&str; 2] = ["data", "media"];
/// What lets whoever runs a file act as its owner or group. A folder's only says whose new files are.
pub(super) const LENDS: u32 = 0o6000;

/// A tree that is to be packed, as it was before anything was read of it.
#[derive(Debug)]
pub(super) struct Listed {
    /// Name that its paths begin with.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    tree: Tree,
    listing: Listing,
}

impl Listed {
    /// Lists a folder; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn of(host: &Reader, name: &str, path: &Path) -> Result<Option<Self>> {
        let Some(tree) = host.tree(path)? else { return Ok(None) };
        let listing = tree.list()?;
        Ok(Some(Listed { name: name.to_owned(), path: path.to_owned(), tree, listing }))
    }

    /// The same of one file in a folder.
    ///
    /// # Errors
    /// If the folder cannot be looked at.
    pub fn of_file(
        host: &Reader,
        name: &str,
        (path, file): (&Path, &OsStr),
    ) -> Result<Option<Self>> {
        let Some(tree) = host.tree(path)? else { return Ok(None) };
        let listing = tree.list_one(file.as_ref())?;
        Ok(Some(Listed { name: name.to_owned(), path: path.to_owned(), tree, listing }))
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        let sizes = self.listing.entries.iter().map(|entry| match entry.kind {
            Kind::File(bytes) => bytes,
            Kind::Folder | Kind::Link(_) => 0,
        });
        sizes.sum()
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// What the archive holds, by path; of several members of one path the last one counts.
    pub rows: BTreeMap<String, FileRow>,
    /// What it does not hold as it should.
    pub warnings: Vec<String>,
}

/// Exactly so many bytes of a file: cut if it has more by now, filled up with zeros if it has less.
struct Exactly<R> {
    inner: R,
    left: u64,
    short: Option<String>,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..room).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let read = match &self.short {
            Some(_) => 0,
            None => match self.inner.read(buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    self.short = Some(error.to_string());
                    0
                }
            },
        };
        if read > 0 {
            self.left -= read as u64;
            return Ok(read);
        }
        self.short.get_or_insert_with(|| "it became shorter while it was read".into());
        buffer.fill(0);
        self.left -= room as u64;
        Ok(room)
    }
}

/// Packs them all into `out`; `tick` is told of every piece and can end it.
///
/// # Errors
/// If `out` takes no more, or `tick` says so. Files that cannot be read are warnings.
pub(super) fn pack(
    trees: &[Listed],
    maps: &Maps,
    out: &mut impl Write,
    tick: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Packed> {
    let fail = |error: io::Error| Failure::new("writing", "the archive", error);
    let mut packer =
        Packer { archive: tar::Builder::new(out), maps, packed: Packed::default(), tick };
    for listed in trees {
        packer.tree(listed).map_err(fail)?;
    }
    packer.archive.into_inner().map_err(fail)?;
    Ok(packer.packed)
}

struct Packer<'p, W: Write> {
    archive: tar::Builder<W>,
    maps: &'p Maps,
    packed: Packed,
    tick: &'p mut dyn FnMut(u64) -> io::Result<()>,
}

impl<W: Write> Packer<'_, W> {
    fn tree(&mut self, listed: &Listed) -> io::Result<()> {
        for (path, why) in &listed.listing.left_out {
            self.warn(listed, path, why);
        }
        let mut read: Vec<Entry> = Vec::new();
        for entry in &listed.listing.entries {
            match entry.kind {
                Kind::File(_) => read.extend(self.file(listed, &entry.path)?),
                Kind::Folder | Kind::Link(_) => self.other(listed, entry)?,
            }
        }
        for attempt in 1.. {
            read.retain(|old| listed.tree.again(&old.path).is_some_and(|now| now != *old));
            if read.is_empty() || attempt == TRIES {
                break;
            }
            let mut again = Vec::new();
            for old in &read {
                again.extend(self.file(listed, &old.path)?);
            }
            read = again;
        }
        for old in read {
            self.warn(listed, &old.path, "it changed each time that it was read");
        }
        Ok(())
    }

    fn warn(&mut self, listed: &Listed, path: &Path, why: &str) {
        let warning = format!("{}: {why}", listed.path.join(path).display());
        // Of a file that is read again it was said already.
        if !self.packed.warnings.contains(&warning) {
            self.packed.warnings.push(warning);
        }
    }

    // The file as it was when it was opened, if it could be.
    fn file(&mut self, listed: &Listed, path: &Path) -> io::Result<Option<Entry>> {
        let (file, entry) = match listed.tree.read(path) {
            Ok(opened) => opened,
            Err(error) => {
                self.warn(listed, path, &error.to_string());
                return Ok(None);
            }
        };
        let Kind::File(bytes) = entry.kind else { return Ok(None) };
        let Some(mut row) = self.row(listed, &entry) else { return Ok(None) };
        // Whoever writes in a folder may give a file of somebody else a name in it.
        let others = matches!(row.owner, Owner::Root | Owner::Host(_));
        if entry.has_others && others && WRITTEN.contains(&listed.name.as_str()) {
            let why = "it is another name of a file of somebody else: left out";
            self.warn(listed, path, why);
            return Ok(None);
        }
        let mut extensions = listed.tree.attributes(&file);
        let header = header(&row, &entry, &mut extensions);
        if entry.mode & LENDS != 0 {
            self.warn(listed, path, "the right that it lends (setuid, setgid) is left out");
        }
        self.extend(&extensions)?;
        let exactly = Exactly { inner: file, left: bytes, short: None };
        let mut hashing = Hashing::new(exactly);
        self.archive.append(&header, io::empty())?;
        self.body(&mut hashing, bytes)?;
        let (sum, exactly) = hashing.end();
        row.sum = Some(sum);
        let unreadable =
            exactly.short.filter(|_| listed.tree.again(path).is_some_and(|now| now == entry));
        if let Some(why) = unreadable {
            self.warn(listed, path, &why);
        }
        self.packed.rows.insert(row.path.clone(), row);
        Ok(Some(entry))
    }

    // In large pieces; the library would take small ones.
    fn body(&mut self, from: &mut impl Read, bytes: u64) -> io::Result<()> {
        let out = self.archive.get_mut();
        copy(from, out, &mut *self.tick)?;
        let beyond = bytes.next_multiple_of(BLOCK) - bytes;
        io::copy(&mut io::repeat(0).take(beyond), out).map(drop)
    }

    fn other(&mut self, listed: &Listed, entry: &Entry) -> io::Result<()> {
        let Some(row) = self.row(listed, entry) else { return Ok(()) };
        let mut extensions = match entry.kind {
            Kind::Folder => listed.tree.attributes_of_folder(&entry.path),
            Kind::File(_) | Kind::Link(_) => Vec::new(),
        };
        let header = header(&row, entry, &mut extensions);
        self.extend(&extensions)?;
        self.archive.append(&header, io::empty())?;
        self.packed.rows.insert(row.path.clone(), row);
        Ok(())
    }

    fn extend(&mut self, extensions: &[(String, Vec<u8>)]) -> io::Result<()> {
        let pairs = extensions.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.archive.append_pax_extensions(pairs)
    }

    fn row(&mut self, listed: &Listed, entry: &Entry) -> Option<FileRow> {
        let mut path = listed.name.clone();
        if !entry.path.as_os_str().is_empty() {
            let Some(text) = entry.path.to_str() else {
                self.warn(listed, &entry.path, "its name is not UTF-8 text");
                return None;
            };
            path = format!("{path}/{text}");
        }
        // A restore refuses it, so it must not keep the rest from being restored.
        if let Kind::Link(target) = &entry.kind
            && leads_out(&path, target)
        {
            self.warn(listed, &entry.path, "it is a link that leads out of its folder: left out");
            return None;
        }
        let (kind, target, mode) = match &entry.kind {
            Kind::File(_) => (RowKind::File, None, entry.mode & !LENDS),
            Kind::Folder => (RowKind::Folder, None, entry.mode),
            Kind::Link(target) => (RowKind::Link, Some(target.clone()), entry.mode),
        };
        Some(FileRow {
            path,
            kind,
            owner: self.maps.users.owner(entry.uid),
            group: self.maps.groups.owner(entry.gid),
            mode: format!("{mode:04o}"),
            modified: entry.modified,
            sum: None,
            target,
        })
    }
}

// The number that stands in the archive, for whoever unpacks it by hand.
fn number(owner: Owner) -> u64 {
    match owner {
        Owner::Root | Owner::Service => 0,
        Owner::Container(id) | Owner::Host(id) => u64::from(id),
    }
}

// What does not fit into a plain head goes before it (pax(1), "extended header keywords"); the names
// of attributes and access lists are those that GNU tar and star write.
fn header(row: &FileRow, entry: &Entry, extensions: &mut Vec<(String, Vec<u8>)>) -> tar::Header {
    for (name, _) in extensions.iter_mut() {
        *name = format!("SCHILY.xattr.{name}");
    }
    let mut header = tar::Header::new_ustar();
    header.set_mode(row.bits());
    header.set_uid(number(row.owner));
    header.set_gid(number(row.group));
    let (seconds, nanoseconds) = entry.modified;
    header.set_mtime(u64::try_from(seconds).unwrap_or(0));
    extensions.push(("mtime".into(), format!("{seconds}.{nanoseconds:09}").into_bytes()));
    extensions.push(("path".into(), row.path.clone().into_bytes()));
    if header.set_path(&row.path).is_err() {
        let _ = header.set_path("long-name");
    }
    match &entry.kind {
        Kind::File(bytes) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(*bytes);
        }
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
        }
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            if header.set_link_name(target).is_err() {
                let _ = header.set_link_name("long-name");
            }
            extensions.push(("linkpath".into(), target.as_os_str().as_encoded_bytes().to_vec()));
        }
    }
    header.set_cksum();
    header
}
