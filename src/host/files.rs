//! The one door to files. Root follows no symbolic link, and writes only where nobody else can
//! swap a folder under its feet: every parent belongs to root and is writable by root alone.
//!
//! Where a file lies in a folder of another user (PostgreSQL's, Caddy's), the work is done *as*
//! that user, on a thread of its own: then a planted link leads only where that user could go.

use crate::error::{Failure, Result};
use crate::host::accounts::Account;
use crate::host::openat::{
    Trust, as_user, failure, meta, open_dir, open_in, parent_of, put_at, read_at, set_perms, split,
};
use crate::host::store::open_trusted;
use crate::host::{Reader, Writer};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fsync, mkdirat, unlinkat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    /// Size in bytes.
    pub bytes: u64,
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
    /// Is it immutable, or for appending alone (chattr(1))? Then nobody replaces it.
    pub fixed: bool,
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
    hex(&Sha256::digest(bytes))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Is there already something of that name?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It must not exist: the first one wins.
    New,
    /// It takes the place of what is there.
    Replace,
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

    /// Has this folder no entries? The `lost+found` of a file system's top does not count.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn is_empty_dir(&self, path: &Path) -> Result<bool> {
        Ok(self.list(path)?.iter().all(|name| name == "lost+found"))
    }

    /// The newest change of any file in a folder, in nanoseconds since 1970 (UTC); 0 if there is
    /// none.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn newest_in(&self, path: &Path) -> Result<i128> {
        let mut newest = 0;
        for name in self.list(path)? {
            let file = self.stat(&path.join(name))?;
            newest = newest.max(file.map_or(0, |meta| meta.modified));
        }
        Ok(newest)
    }

    /// Is there anything of this name? Links are followed.
    pub fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    /// The text of a file that the system keeps. Links are followed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open_text(&self, path: &Path) -> Result<String> {
        let mut text = String::new();
        self.open_named(path)?
            .take(1 << 20)
            .read_to_string(&mut text)
            .map_err(|error| failure("reading", path, error))?;
        Ok(text)
    }

    /// The names in a folder that are text; one that does not exist has none.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn names_in(&self, path: &Path) -> Result<Vec<String>> {
        Ok(self.list(path)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    // The names in a folder; one that does not exist has none.
    fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        let Some(dir) = open_dir(path, Trust::Anybody)? else { return Ok(Vec::new()) };
        let entries = rustix::fs::Dir::read_from(&dir)
            .and_then(|entries| entries.collect::<std::result::Result<Vec<_>, _>>())
            .map_err(|errno| failure("listing", path, errno))?;
        let names = entries.iter().map(|entry| entry.file_name().to_bytes());
        let names = names.filter(|name| !matches!(*name, b"." | b".."));
        Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect())
    }

    /// Opens a file that the administrator named on the command line: links are followed.
    ///
    /// # Errors
    /// If it cannot be opened or is not a regular file.
    pub fn open_named(&self, path: &Path) -> Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        // Whoever it lies with may have put something there that has to be waited for.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let opened = File::options().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| failure("opening", path, error))?;
        match file.metadata() {
            Ok(meta) if meta.is_file() => Ok(file),
            Ok(_) => Err(failure("opening", path, "it is not a regular file")),
            Err(error) => Err(failure("opening", path, error)),
        }
    }

    /// Refuses a program that root is to run and others could change.
    ///
    /// # Errors
    /// If so, or if there is none.
    pub fn refuse_changeable(&self, program: &Path) -> Result<()> {
        let (dir, name) = parent_of(program, Trust::RootOnly)?;
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failure("looking at", program, errno))?;
        let meta = meta(&stat);
        match (meta.kind, meta.perms.uid, meta.perms.mode & 0o022) {
            (FileType::RegularFile, 0, 0) => Ok(()),
            _ => Err(failure("starting", program, "it is not a file that root alone can change")
                .next(format!("ls -l {}", program.display()))),
        }
    }

    /// Refuses a file with a secret that others than root can read or change.
    ///
    /// # Errors
    /// If so, or if there is none.
    pub fn refuse_readable(&self, path: &Path) -> Result<()> {
        let meta =
            open_trusted(path)?.metadata().map_err(|error| failure("reading", path, error))?;
        match (meta.uid(), meta.mode() & 0o077) {
            (0, 0) => Ok(()),
            _ => Err(failure("reading", path, "others than root can read or change it")
                .next(format!("chown root:root {0}; chmod 0600 {0}", path.display()))),
        }
    }

    /// The bytes of the program that runs.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn own_program(&self) -> Result<Vec<u8>> {
        let path = Path::new("/proc/self/exe");
        std::fs::read(path).map_err(|error| failure("reading", path, error))
    }

    /// The path with links resolved, for folders of the system such as /var/run.
    pub fn canonical(&self, path: &Path) -> std::path::PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}

/// Writes a file that is no part of the installation, so no lock is needed: whole or not at all. In a
/// folder of another user it is written as that user.
///
/// # Errors
/// If it cannot be written.
pub fn publish(host: &Reader, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let (parent, _) = split(path)?;
    let owner = match host.stat(parent)? {
        Some(meta) => meta.perms.uid,
        None => {
            return Err(
                failure("writing", path, Errno::NOENT).next(format!("mkdir {}", parent.display()))
            );
        }
    };
    let put = |uid, gid, trust| put_at(path, bytes, Perms { uid, gid, mode }, Put::Replace, trust);
    match host.account(&owner.to_string())? {
        Some(account) if owner != 0 => {
            as_user(&account, || put(account.uid, account.gid, Trust::Anybody))
        }
        _ => put(0, 0, Trust::LastRootOnly),
    }
}

impl Writer<'_> {
    /// Creates a folder. It appears with its final owner and mode, or not at all... except that a
    /// kill between the two leaves it root's and closed, which the next run mends.
    ///
    /// # Errors
    /// If it exists or a parent is missing or untrusted.
    pub fn create_dir(&self, path: &Path, perms: Perms) -> Result<()> {
        self.forget_file(path);
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
        self.forget_file(path);
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
        self.forget_file(path);
        put_at(path, bytes, perms, put, Trust::RootOnly)
    }

    /// Replaces a file in a folder of another user, as that user; its mode is kept.
    ///
    /// # Errors
    /// If that user cannot write there.
    pub fn put_as(&self, account: &Account, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        self.forget();
        let perms = Perms { uid: account.uid, gid: account.gid, mode };
        as_user(account, || put_at(path, bytes, perms, Put::Replace, Trust::Anybody))
    }

    /// Removes a file; that it is gone already is fine.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, path: &Path) -> Result<()> {
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::RootOnly)? else { return Ok(()) };
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) => {
                self.forget_file(path);
                fsync(&dir).map_err(|errno| failure("removing", path, errno))
            }
            // Nothing has changed, so what was answered stands.
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failure("removing", path, errno)),
        }
    }

    /// Removes an empty folder; that it is gone already is fine.
    ///
    /// # Errors
    /// If it is not empty or cannot be removed.
    pub fn remove_dir(&self, path: &Path) -> Result<()> {
        self.forget_file(path);
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::RootOnly)? else { return Ok(()) };
        match unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failure("removing the folder", path, errno)),
        }
    }
}
