//! A folder that is filled with what somebody else's archive says: nothing of it is believed, and
//! nothing outside is reached.

use crate::error::{Failure, Result};
use crate::host::Writer;
use crate::host::openat::{Trust, failure, open_in, parent_of};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, fchmod, fchown, fsetxattr,
    fstat, fsync, mkdirat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Owner, mode and time of a name.
#[derive(Debug, Clone, Copy)]
pub struct Dress {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content: seconds and nanoseconds since 1970 (UTC).
    pub modified: (i64, u32),
}

/// The folder.
#[derive(Debug)]
pub struct Nest {
    top: OwnedFd,
    shown: PathBuf,
}

impl Writer<'_> {
    /// A new, empty folder of root's alone, to be filled.
    ///
    /// # Errors
    /// If it is there already, or others than root can change its parent.
    pub fn nest(&self, path: &Path) -> Result<Nest> {
        self.create_private_dir(path)?;
        let (dir, name) = parent_of(path, Trust::RootOnly)?;
        let top = open_in(&dir, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map_err(|errno| failure("opening", path, errno))?;
        Ok(Nest { top, shown: path.to_owned() })
    }
}

impl Nest {
    fn parent<'p>(&self, path: &'p Path) -> rustix::io::Result<(OwnedFd, &'p Path)> {
        let name = path.file_name().map(Path::new).ok_or(Errno::INVAL)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok((open_in(&self.top, folder, flags, Mode::empty())?, name))
    }

    fn failure(&self, doing: &str, path: &Path, errno: Errno) -> Failure {
        failure(doing, &self.shown.join(path), errno)
    }

    /// A folder in it; one that is there already is fine.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(&self, path: &Path) -> Result<()> {
        let made = self.parent(path).and_then(|(dir, name)| {
            match mkdirat(&dir, name, Mode::from_raw_mode(0o700)) {
                Err(Errno::EXIST) => Ok(()),
                other => other,
            }
        });
        made.map_err(|errno| self.failure("creating the folder", path, errno))
    }

    /// Gives a folder an extended attribute, as [`attribute`] does a file.
    ///
    /// # Errors
    /// If the file system says no.
    pub fn folder_attribute(&self, path: &Path, name: &str, value: &[u8]) -> std::io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = open_in(&self.top, path, flags, Mode::empty())?;
        attribute(&File::from(folder), name, value)
    }

    /// A file in it; one that is there already is begun anew.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn file(&self, path: &Path) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let made = self
            .parent(path)
            .and_then(|(dir, name)| open_in(&dir, name, flags, Mode::from_raw_mode(0o600)));
        made.map(File::from).map_err(|errno| self.failure("creating", path, errno))
    }

    /// A link in it; it is not followed by anything here.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn link(&self, path: &Path, target: &Path) -> Result<()> {
        let made = self.parent(path).and_then(|(dir, name)| {
            match unlinkat(&dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => symlinkat(target, &dir, name),
                Err(errno) => Err(errno),
            }
        });
        made.map_err(|errno| self.failure("creating the link", path, errno))
    }

    /// Gives a name its owner, mode and time; the empty path is the top itself. Bits that lend rights
    /// are never given.
    ///
    /// # Errors
    /// If the file system says no.
    pub fn dress(&self, path: &Path, dress: &Dress, is_link: bool) -> Result<()> {
        let fail = |errno| self.failure("setting owner, mode and time of", path, errno);
        let (uid, gid) = (Uid::from_raw(dress.uid), Gid::from_raw(dress.gid));
        let (seconds, nanoseconds) = dress.modified;
        let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) };
        let times = Timestamps { last_access: time, last_modification: time };
        if is_link {
            let (dir, name) = self.parent(path).map_err(fail)?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&dir, name, Some(uid), Some(gid), flags).map_err(fail)?;
            return utimensat(&dir, name, &times, flags).map_err(fail);
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = open_in(&self.top, path, flags, Mode::empty()).map_err(fail)?;
        fchown(&fd, Some(uid), Some(gid)).map_err(fail)?;
        let stat = fstat(&fd).map_err(fail)?;
        let allowed = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => 0o3777,
            _ => 0o1777,
        };
        fchmod(&fd, Mode::from_raw_mode(dress.mode & allowed)).map_err(fail)?;
        rustix::fs::futimens(&fd, &times).map_err(fail)?;
        fsync(&fd).map_err(fail)
    }
}

/// Gives a file an extended attribute; capabilities and labels, which lend rights, are left out.
///
/// # Errors
/// If the file system says no.
pub fn attribute(file: &File, name: &str, value: &[u8]) -> std::io::Result<()> {
    if !(name.starts_with("user.") || name.starts_with("system.posix_acl_")) {
        return Ok(());
    }
    Ok(fsetxattr(file, name, value, XattrFlags::empty())?)
}
