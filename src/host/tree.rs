//! Folders of files that somebody else writes while they are read: walked from an opened folder, so
//! that nothing outside is ever reached, and told as they are.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::openat::{Trust, failure, open_dir, open_in};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a name in a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File(u64),
    /// A symbolic link and where it leads.
    Link(PathBuf),
}

/// One name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Below the top; empty for the top itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Owner on this host.
    pub uid: u32,
    /// Group on this host.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content: seconds and nanoseconds since 1970 (UTC).
    pub modified: (i64, u32),
    /// Which file it is, so that another one of the same name is noticed.
    pub inode: u64,
    /// Has it other names?
    pub has_others: bool,
}

/// An opened tree.
#[derive(Debug)]
pub struct Tree {
    top: OwnedFd,
    shown: PathBuf,
    device: u64,
}

/// What was found, and what was left out and why.
#[derive(Debug, Default)]
pub struct Listing {
    /// Folders before what is in them, by name.
    pub entries: Vec<Entry>,
    /// Sockets, pipes, devices, other file systems, and what could not be looked at.
    pub left_out: Vec<(PathBuf, String)>,
}

impl Reader {
    /// Opens a tree; `None` if there is no such folder.
    ///
    /// # Errors
    /// If a link leads there, or it cannot be opened.
    pub fn tree(&self, path: &Path) -> Result<Option<Tree>> {
        let Some(top) = open_dir(path, Trust::Anybody)? else { return Ok(None) };
        let stat = fstat(&top).map_err(|errno| failure("looking at", path, errno))?;
        Ok(Some(Tree { top, shown: path.to_owned(), device: stat.st_dev }))
    }
}

impl Tree {
    /// Everything in it, without following links or entering other file systems.
    ///
    /// # Errors
    /// If the top cannot be listed.
    pub fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let stat = fstat(&self.top).map_err(|errno| self.failure("looking at", errno))?;
        listing.entries.extend(entry(PathBuf::new(), &stat, None));
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            match self.names(&folder) {
                Ok(names) => {
                    for name in names {
                        self.look(folder.join(name), &mut listing, &mut folders);
                    }
                }
                Err(errno) if folder.as_os_str().is_empty() => {
                    return Err(self.failure("listing", errno));
                }
                Err(errno) => listing.left_out.push((folder, errno.to_string())),
            }
        }
        listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Nothing but the top and this name in it.
    ///
    /// # Errors
    /// If the top cannot be looked at.
    pub fn list_one(&self, name: &Path) -> Result<Listing> {
        let mut listing = Listing::default();
        let stat = fstat(&self.top).map_err(|errno| self.failure("looking at", errno))?;
        listing.entries.extend(entry(PathBuf::new(), &stat, None));
        self.look(name.to_owned(), &mut listing, &mut Vec::new());
        Ok(listing)
    }

    fn names(&self, folder: &Path) -> rustix::io::Result<Vec<std::ffi::OsString>> {
        let dir = self.open(folder, OFlags::DIRECTORY)?;
        let entries = Dir::read_from(&dir)?.collect::<rustix::io::Result<Vec<_>>>()?;
        let names = entries.iter().map(|entry| entry.file_name().to_bytes());
        let names = names.filter(|name| !matches!(*name, b"." | b".."));
        Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect())
    }

    fn look(&self, path: PathBuf, listing: &mut Listing, folders: &mut Vec<PathBuf>) {
        match self.entry(&path) {
            Ok(Some((entry, device))) => {
                if device != self.device {
                    let why = "another file system is mounted here".to_owned();
                    listing.left_out.push((path, why));
                    return;
                }
                if entry.kind == Kind::Folder {
                    folders.push(path);
                }
                listing.entries.push(entry);
            }
            Ok(None) => {
                let why = "it is neither file, folder nor link".to_owned();
                listing.left_out.push((path, why));
            }
            // Gone since it was listed: it was never there for us.
            Err(Errno::NOENT) => {}
            Err(errno) => listing.left_out.push((path, errno.to_string())),
        }
    }

    fn entry(&self, path: &Path) -> rustix::io::Result<Option<(Entry, u64)>> {
        let (folder, name) = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => (folder, name),
            _ => return Ok(None),
        };
        let dir = self.open(folder, OFlags::DIRECTORY)?;
        let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let link = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(&dir, name, Vec::new())?;
                Some(PathBuf::from(OsStr::from_bytes(target.to_bytes())))
            }
            _ => None,
        };
        Ok(entry(path.to_owned(), &stat, link).map(|entry| (entry, stat.st_dev)))
    }

    /// The same name as it is now; `None` if it is gone, or something else.
    pub fn again(&self, path: &Path) -> Option<Entry> {
        self.entry(path).ok().flatten().map(|(entry, _)| entry)
    }

    /// Opens a file for reading, and tells what was opened.
    ///
    /// # Errors
    /// If it is gone, no file any more, or cannot be read.
    pub fn read(&self, path: &Path) -> std::io::Result<(File, Entry)> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.open(path, flags | OFlags::NOATIME) {
            // Only the owner, or a capability that a sandbox may lack, spares the time of access.
            Err(Errno::PERM) => self.open(path, flags)?,
            other => other?,
        };
        let stat = fstat(&file)?;
        match entry(path.to_owned(), &stat, None) {
            Some(entry) if matches!(entry.kind, Kind::File(_)) => Ok((File::from(file), entry)),
            _ => Err(std::io::Error::other("it is no file any more")),
        }
    }

    fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        open_in(&self.top, path, OFlags::RDONLY | flags, Mode::empty())
    }

    /// Extended attributes of a file, access lists among them; none where there are none.
    pub fn attributes(&self, file: &File) -> Vec<(String, Vec<u8>)> {
        let mut names = vec![0_u8; 64 << 10];
        let Ok(length) = rustix::fs::flistxattr(file, &mut names) else { return Vec::new() };
        let names = names.get(..length).unwrap_or_default().split(|byte| *byte == 0);
        let names = names.filter_map(|name| std::str::from_utf8(name).ok());
        let kept =
            names.filter(|name| name.starts_with("user.") || name.starts_with("system.posix_acl_"));
        kept.filter_map(|name| {
            let mut value = vec![0_u8; 64 << 10];
            let length = rustix::fs::fgetxattr(file, name, &mut value).ok()?;
            value.truncate(length);
            Some((name.to_owned(), value))
        })
        .collect()
    }

    /// The same of a folder.
    pub fn attributes_of_folder(&self, path: &Path) -> Vec<(String, Vec<u8>)> {
        let folder = self.open(path, OFlags::DIRECTORY).map(File::from);
        folder.map(|folder| self.attributes(&folder)).unwrap_or_default()
    }

    fn failure(&self, doing: &str, errno: Errno) -> Failure {
        failure(doing, &self.shown, errno)
    }
}

fn entry(path: PathBuf, stat: &Stat, link: Option<PathBuf>) -> Option<Entry> {
    let kind = match (FileType::from_raw_mode(stat.st_mode), link) {
        (FileType::Directory, _) => Kind::Folder,
        (FileType::RegularFile, _) => Kind::File(u64::try_from(stat.st_size).unwrap_or(0)),
        (FileType::Symlink, Some(target)) => Kind::Link(target),
        _ => return None,
    };
    Some(Entry {
        path,
        kind,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
        modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        inode: stat.st_ino,
        has_others: stat.st_nlink > 1,
    })
}
