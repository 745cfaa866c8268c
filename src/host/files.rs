//! The one door to files. Root follows no symbolic link, and writes only where nobody else can
//! swap a folder under its feet: every parent belongs to root and is writable by root alone.
//!
//! Where a file lies in a folder of another user (PostgreSQL's, Caddy's), the work is done *as*
//! that user, on a thread of its own: then a planted link leads only where that user could go.

use crate::error::{Cause, Failure, Result};
use crate::host::accounts::Account;
use crate::host::{Reader, Writer};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fchmod, fchown, fstat, fsync,
    mkdirat, openat2, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// Larger than any file that is read whole here.
const READ_CAP: u64 = 8 << 20;

/// Owner and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Perms {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Perms {
    /// Root's, with this mode.
    pub fn root(mode: u32) -> Self {
        Perms { uid: 0, gid: 0, mode }
    }
}

impl std::fmt::Display for Perms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {:04o}", self.uid, self.gid, self.mode)
    }
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// File, folder or something else.
    pub kind: FileType,
    /// Owner and mode.
    pub perms: Perms,
    /// Last change of the content, in nanoseconds since 1970 (UTC).
    pub modified: i128,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNow {
    /// What it is.
    pub meta: Meta,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl FileNow {
    /// The content as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn text(&self) -> Result<String> {
        String::from_utf8(self.bytes.clone())
            .map_err(|_| Failure::new("reading", "a file", "it is not UTF-8 text"))
    }

    /// SHA-256 of the content, in hex.
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Is there already something of that name?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It must not exist: the first one wins.
    New,
    /// It takes the place of what is there.
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Every parent must be root's and writable by root alone.
    RootOnly,
    /// No links, but anybody's folders: good for looking, and for work done as another user.
    Anybody,
}

fn failure(doing: &str, path: &Path, cause: impl Into<Cause>) -> Failure {
    Failure::new(doing, path.display(), cause)
}

fn resolve() -> ResolveFlags {
    ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
}

fn open_in(dir: &OwnedFd, name: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    openat2(dir, name, flags | OFlags::CLOEXEC, mode, resolve())
}

fn trusted(dir: &OwnedFd, shown: &Path) -> Result<()> {
    let stat = fstat(dir).map_err(|errno| failure("looking at", shown, errno))?;
    if stat.st_uid == 0 && stat.st_mode & 0o022 == 0 {
        return Ok(());
    }
    Err(failure(
        "going through",
        shown,
        "others than root can change this folder, so root does not use paths through it",
    )
    .next(format!("chown root {0} && chmod go-w {0}", shown.display())))
}

/// Opens a folder component by component. `None`: it does not exist.
fn open_dir(path: &Path, trust: Trust) -> Result<Option<OwnedFd>> {
    let root =
        rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failure("opening", Path::new("/"), errno))?;
    let mut dir = root;
    let mut shown = std::path::PathBuf::from("/");
    for component in path.components() {
        let name = match component {
            Component::RootDir => continue,
            Component::Normal(name) => Path::new(name),
            _ => return Err(failure("opening", path, "only absolute paths without '..' are used")),
        };
        if trust == Trust::RootOnly {
            trusted(&dir, &shown)?;
        }
        shown.push(name);
        dir = match open_in(&dir, name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => {
                return Err(failure(
                    "opening",
                    &shown,
                    "it is a symbolic link, which root does not follow",
                )
                .next(format!("replace the link by a folder: ls -ld {}", shown.display())));
            }
            Err(errno) => return Err(failure("opening", &shown, errno)),
        };
    }
    if trust == Trust::RootOnly {
        trusted(&dir, &shown)?;
    }
    Ok(Some(dir))
}

fn split(path: &Path) -> Result<(&Path, &Path)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, Path::new(name))),
        _ => Err(failure("opening", path, "it has no parent folder")),
    }
}

fn parent_of(path: &Path, trust: Trust) -> Result<(OwnedFd, &Path)> {
    let (parent, name) = split(path)?;
    match open_dir(parent, trust)? {
        Some(dir) => Ok((dir, name)),
        None => Err(failure("opening", parent, Errno::NOENT)),
    }
}

fn meta(stat: &Stat) -> Meta {
    Meta {
        kind: FileType::from_raw_mode(stat.st_mode),
        perms: Perms { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 },
        modified: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
    }
}

fn read_at(path: &Path, trust: Trust) -> Result<Option<FileNow>> {
    let (parent, name) = split(path)?;
    let Some(dir) = open_dir(parent, trust)? else { return Ok(None) };
    // NONBLOCK: a planted fifo must not make root wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = match open_in(&dir, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => {
            return Err(failure(
                "reading",
                path,
                "it is a symbolic link, which root does not follow",
            ));
        }
        Err(errno) => return Err(failure("reading", path, errno)),
    };
    let stat = fstat(&fd).map_err(|errno| failure("reading", path, errno))?;
    let meta = meta(&stat);
    if meta.kind != FileType::RegularFile {
        return Err(failure("reading", path, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::from(fd)
        .take(READ_CAP)
        .read_to_end(&mut bytes)
        .map_err(|error| failure("reading", path, error))?;
    Ok(Some(FileNow { meta, bytes }))
}

/// Runs `work` as another user: id, group and no other groups, on a thread that ends after it.
fn as_user<T: Send>(account: &Account, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let become_user = || -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        rustix::thread::set_thread_groups(&[gid])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    };
    let doing = |cause: Cause| Failure::new("working as the user", &account.name, cause);
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                become_user().map_err(|errno| doing(errno.into()))?;
                work()
            })
            .join()
            .unwrap_or_else(|_| Err(doing("the thread ended early".into())))
    })
}

impl Reader {
    /// What a path is, or `None` if there is nothing. Links are not followed.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn stat(&self, path: &Path) -> Result<Option<Meta>> {
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::Anybody)? else { return Ok(None) };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(meta(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failure("looking at", path, errno)),
        }
    }

    /// Reads a file on a path that only root can change; `None` if it does not exist.
    ///
    /// # Errors
    /// If it is a link, not a regular file, or on a path that others can change.
    pub fn read(&self, path: &Path) -> Result<Option<FileNow>> {
        read_at(path, Trust::RootOnly)
    }

    /// Reads a file in a folder of another user, as that user.
    ///
    /// # Errors
    /// If that user cannot read it.
    pub fn read_as(&self, account: &Account, path: &Path) -> Result<Option<FileNow>> {
        as_user(account, || read_at(path, Trust::Anybody))
    }

    /// Opens a file that the administrator named on the command line: links are followed.
    ///
    /// # Errors
    /// If it cannot be opened or is not a regular file.
    pub fn open_named(&self, path: &Path) -> Result<File> {
        let file = File::open(path).map_err(|error| failure("opening", path, error))?;
        match file.metadata() {
            Ok(meta) if meta.is_file() => Ok(file),
            Ok(_) => Err(failure("opening", path, "it is not a regular file")),
            Err(error) => Err(failure("opening", path, error)),
        }
    }

    /// The path with links resolved, for folders of the system such as /var/run.
    pub fn canonical(&self, path: &Path) -> std::path::PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}

impl Writer<'_> {
    /// Creates a folder. It appears with its final owner and mode, or not at all... except that a
    /// kill between the two leaves it root's and closed, which the next run mends.
    ///
    /// # Errors
    /// If it exists or a parent is missing or untrusted.
    pub fn create_dir(&self, path: &Path, perms: Perms) -> Result<()> {
        let (dir, name) = parent_of(path, Trust::RootOnly)?;
        mkdirat(&dir, name, Mode::from_raw_mode(0o700))
            .map_err(|errno| failure("creating the folder", path, errno))?;
        self.set_perms(path, perms)
    }

    /// Sets owner and mode of a file or folder.
    ///
    /// # Errors
    /// If it is missing, a link, or on an untrusted path.
    pub fn set_perms(&self, path: &Path, perms: Perms) -> Result<()> {
        let (dir, name) = parent_of(path, Trust::RootOnly)?;
        let fail = |errno| failure("setting owner and mode of", path, errno);
        let fd =
            open_in(&dir, name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map_err(fail)?;
        set_perms(&fd, perms).map_err(fail)?;
        fsync(&dir).map_err(fail)
    }

    /// Writes a file whole: under another name first, then moved into place, both synced.
    ///
    /// # Errors
    /// If the path is untrusted, the disk is full, or it exists and should not.
    pub fn put(&self, path: &Path, bytes: &[u8], perms: Perms, put: Put) -> Result<()> {
        put_at(path, bytes, Some(perms), put, Trust::RootOnly)
    }

    /// Replaces a file in a folder of another user, as that user; its mode is kept.
    ///
    /// # Errors
    /// If that user cannot write there.
    pub fn put_as(&self, account: &Account, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let perms = Perms { uid: account.uid, gid: account.gid, mode };
        as_user(account, || put_at(path, bytes, Some(perms), Put::Replace, Trust::Anybody))
    }

    /// Removes a file; that it is gone already is fine.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, path: &Path) -> Result<()> {
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::RootOnly)? else { return Ok(()) };
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {
                fsync(&dir).map_err(|errno| failure("removing", path, errno))
            }
            Err(errno) => Err(failure("removing", path, errno)),
        }
    }

    /// Removes an empty folder; that it is gone already is fine.
    ///
    /// # Errors
    /// If it is not empty or cannot be removed.
    pub fn remove_dir(&self, path: &Path) -> Result<()> {
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::RootOnly)? else { return Ok(()) };
        match unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failure("removing the folder", path, errno)),
        }
    }
}

fn set_perms(fd: &OwnedFd, perms: Perms) -> rustix::io::Result<()> {
    fchown(fd, Some(Uid::from_raw(perms.uid)), Some(Gid::from_raw(perms.gid)))?;
    fchmod(fd, Mode::from_raw_mode(perms.mode))
}

fn put_at(path: &Path, bytes: &[u8], perms: Option<Perms>, put: Put, trust: Trust) -> Result<()> {
    let (dir, name) = parent_of(path, trust)?;
    let fail = |cause: Cause| failure("writing", path, cause);
    let prefix = format!(".{}.authentik-install-", name.display());
    sweep(&dir, &prefix);
    let temp = format!("{prefix}{}", std::process::id());
    let temp = Path::new(&temp);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let fd = open_in(&dir, temp, flags, Mode::from_raw_mode(0o600)).map_err(|e| fail(e.into()))?;
    let written = (|| -> std::io::Result<()> {
        if let Some(perms) = perms {
            set_perms(&fd, perms)?;
        }
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        file.sync_all()?;
        let flags = match put {
            Put::New => RenameFlags::NOREPLACE,
            Put::Replace => RenameFlags::empty(),
        };
        renameat_with(&dir, temp, &dir, name, flags)?;
        fsync(&dir)?;
        Ok(())
    })();
    written.map_err(|error| {
        // The name is ours alone; if even this fails the next write sweeps it.
        let _ = unlinkat(&dir, temp, AtFlags::empty());
        fail(error.into())
    })
}

/// Removes what a killed run left half-written. The lock is held, so nobody is writing it now.
fn sweep(dir: &OwnedFd, prefix: &str) {
    let Ok(entries) = rustix::fs::Dir::read_from(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_bytes().starts_with(prefix.as_bytes()) {
            let _ = unlinkat(dir, entry.file_name(), AtFlags::empty());
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make what the code must find")]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed() {
        let dir =
            std::env::temp_dir().join(format!("authentik-install-test-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("real")).unwrap();
        std::os::unix::fs::symlink(dir.join("real"), dir.join("link")).unwrap();
        assert!(open_dir(&dir.join("real"), Trust::Anybody).unwrap().is_some());
        assert!(open_dir(&dir.join("link"), Trust::Anybody).is_err());
        assert!(open_dir(&dir.join("none"), Trust::Anybody).unwrap().is_none());
        assert!(open_dir(&dir.join("../x"), Trust::Anybody).is_err());
        // The temporary folder is everybody's, so root's own files are never put below it.
        assert!(open_dir(&dir, Trust::RootOnly).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_write_is_whole_and_sweeps_what_was_left() {
        let dir =
            std::env::temp_dir().join(format!("authentik-install-put-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("f");
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(".f.authentik-install-1"))
            .unwrap();
        put_at(&path, b"one", None, Put::New, Trust::Anybody).unwrap();
        assert!(put_at(&path, b"two", None, Put::New, Trust::Anybody).is_err());
        put_at(&path, b"three", None, Put::Replace, Trust::Anybody).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
