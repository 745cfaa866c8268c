//! Folders that appear whole or not at all: filled under another name, synced, and moved into place.

use crate::error::{Exit, Result};
use crate::host::openat::{Trust, failure, open_dir, open_in, parent_of, split};
use crate::host::{Reader, Writer};
use rustix::fs::{
    Advice, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fadvise, fsync, mkdirat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Opens a file on a path that only root can change, for reading in a stream.
///
/// # Errors
/// If it is missing, a link, no file, or on a path that others can change.
pub fn open_trusted(path: &Path) -> Result<File> {
    let (dir, name) = parent_of(path, Trust::RootOnly)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open_in(&dir, name, flags, Mode::empty())
        .map_err(|errno| failure("opening", path, errno))?;
    let file = File::from(file);
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(file),
        Ok(_) => Err(failure("opening", path, "it is not a regular file")),
        Err(error) => Err(failure("opening", path, error)),
    }
}

/// A new file of the caller's alone at a path that the administrator named, filled by `fill`; there is
/// none if that fails.
///
/// # Errors
/// If it exists, cannot be made, or `fill` fails.
pub fn create_named<T>(path: &Path, fill: impl FnOnce(&File) -> Result<T>) -> Result<T> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = made.map_err(|error| {
        failure("creating", path, error).next("choose another name").exit(Exit::Usage)
    })?;
    let filled = fill(&file);
    if filled.is_err() {
        // Left behind, it would pass for what it is not.
        let _ = rustix::fs::unlink(path);
    }
    filled
}

impl Reader {
    /// Which file or folder that is on its file system; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn inode(&self, path: &Path) -> Result<Option<u64>> {
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::Anybody)? else { return Ok(None) };
        match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failure("looking at", path, errno)),
        }
    }

    /// Where file systems are mounted, on this folder or anywhere in it.
    ///
    /// # Errors
    /// If the kernel's list cannot be read.
    pub fn mounts_in(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let list = "/proc/self/mountinfo";
        let text = std::fs::read_to_string(list)
            .map_err(|error| failure("reading", Path::new(list), error))?;
        Ok(mounts(&text).into_iter().filter(|mount| mount.starts_with(path)).collect())
    }
}

// The fifth word of each line, with blanks and the like as \040 (proc_pid_mountinfo(5)).
fn mounts(text: &str) -> Vec<PathBuf> {
    let words = text.lines().filter_map(|line| line.split(' ').nth(4));
    let plain = |word: &str| {
        let codes = [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")];
        codes.iter().fold(word.to_owned(), |word, (code, plain)| word.replace(code, plain))
    };
    words.map(|word| plain(word).into()).collect()
}

/// Bytes that are sent on their way to the disk at once.
const AHEAD: u64 = 16 << 20;

/// A file that goes to the disk while it is written, so that nobody waits long for the last bytes.
#[derive(Debug)]
pub struct Streamed {
    file: File,
    written: u64,
    on_its_way: u64,
}

impl Streamed {
    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for Streamed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        if self.written - self.on_its_way >= AHEAD {
            // Of what is not on the disk yet this begins the writing, and waits for nothing
            // (mm/fadvise.c). What cannot be begun is waited for at the end.
            let length = NonZeroU64::new(self.written - self.on_its_way);
            let _ = fadvise(&self.file, self.on_its_way, length, Advice::DontNeed);
            self.on_its_way = self.written;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Writer<'_> {
    /// A new folder of root's alone.
    ///
    /// # Errors
    /// If it is there already, or its parent is missing or others can change it.
    pub fn create_private_dir(&self, path: &Path) -> Result<()> {
        let (dir, name) = parent_of(path, Trust::RootOnly)?;
        mkdirat(&dir, name, Mode::from_raw_mode(0o700))
            .map_err(|errno| failure("creating the folder", path, errno))
    }

    /// A new file of root's alone, to be written in a stream.
    ///
    /// # Errors
    /// If it is there already, or its folder is missing or others can change it.
    pub fn create_file(&self, path: &Path) -> Result<File> {
        let (dir, name) = parent_of(path, Trust::RootOnly)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_in(&dir, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|errno| failure("creating", path, errno))?;
        Ok(File::from(file))
    }

    /// A new file of root's alone, to be written in a long stream: the disk takes it while more comes.
    ///
    /// # Errors
    /// As [`Writer::create_file`].
    pub fn create_stream(&self, path: &Path) -> Result<Streamed> {
        Ok(Streamed { file: self.create_file(path)?, written: 0, on_its_way: 0 })
    }

    /// Moves a folder to another name beside it, which must be free; all is on disk then.
    ///
    /// # Errors
    /// If the name is taken, or the disk says no.
    pub fn publish_dir(&self, from: &Path, to: &Path) -> Result<()> {
        let (dir, old) = parent_of(from, Trust::RootOnly)?;
        let (_, new) = split(to)?;
        let fail = |errno| failure("moving into place", to, errno);
        let inside = open_in(&dir, old, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        fsync(inside.map_err(fail)?).map_err(fail)?;
        renameat_with(&dir, old, &dir, new, RenameFlags::NOREPLACE).map_err(fail)?;
        fsync(&dir).map_err(fail)
    }

    /// Two folders take each other's place, at once.
    ///
    /// # Errors
    /// If one is missing or a mount point, or others than root can change a parent.
    pub fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        let (first, one_name) = parent_of(one, Trust::RootOnly)?;
        let (second, other_name) = parent_of(other, Trust::RootOnly)?;
        let fail = |errno| failure("exchanging for the restored one", one, errno);
        renameat_with(&first, one_name, &second, other_name, RenameFlags::EXCHANGE)
            .map_err(fail)?;
        fsync(&first).map_err(fail)?;
        fsync(&second).map_err(fail)
    }

    /// Removes a folder with all that is in it; that it is gone already is fine. No link is followed.
    ///
    /// # Errors
    /// If something of it cannot be removed.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        let (parent, name) = split(path)?;
        let Some(dir) = open_dir(parent, Trust::RootOnly)? else { return Ok(()) };
        // One that is bound there has the same device.
        if let Some(mount) = self.mounts_in(path)?.first() {
            return Err(failure("removing", path, "a file system is mounted in it")
                .next(format!("umount {}", mount.display())));
        }
        let device = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|errno| failure("removing", path, errno))?.st_dev,
        };
        remove_all(&dir, name, device).map_err(|errno| failure("removing", path, errno))?;
        fsync(&dir).map_err(|errno| failure("removing", path, errno))
    }
}

/// Folders within each other that are open at once. What lies deeper is moved up first: whoever fills the
/// tree cannot make it too deep to be removed.
const DEEPEST: usize = 64;

// What is mounted inside is somebody's disk, and stays: the folder that holds it then does, too.
fn remove_all(dir: &OwnedFd, name: &Path, device: u64) -> rustix::io::Result<()> {
    let Some(top) = unlinked_unless_folder(dir, name, device)? else { return Ok(()) };
    while empty(&top, &top, device, DEEPEST)? {}
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

// True: something deep is now in `top`.
fn empty(top: &OwnedFd, dir: &OwnedFd, device: u64, deeper: usize) -> rustix::io::Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    let mut moved = false;
    for entry in Dir::read_from(dir)?.collect::<rustix::io::Result<Vec<_>>>()? {
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        let Some(inner) = unlinked_unless_folder(dir, name, device)? else { continue };
        if deeper == 0 {
            let up = format!(".removing-{:016x}", rand::random::<u64>());
            renameat_with(dir, name, top, up, RenameFlags::NOREPLACE)?;
            moved = true;
        } else {
            moved |= empty(top, &inner, device, deeper - 1)?;
            unlinkat(dir, name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(moved)
}

fn unlinked_unless_folder(
    dir: &OwnedFd,
    name: &Path,
    device: u64,
) -> rustix::io::Result<Option<OwnedFd>> {
    let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    if stat.st_dev != device {
        return Err(Errno::XDEV);
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return unlinkat(dir, name, AtFlags::empty()).map(|()| None);
    }
    open_in(dir, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "tests make what the code must find")]
    fn a_tree_of_any_depth_goes() {
        let path = std::env::temp_dir().join(format!("deep-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let parent = File::open(std::env::temp_dir()).unwrap().into();
        let mut dir: OwnedFd = File::open(&path).unwrap().into();
        for _ in 0..3000 {
            mkdirat(&dir, "d", Mode::RWXU).unwrap();
            dir = open_in(&dir, Path::new("d"), OFlags::RDONLY, Mode::empty()).unwrap();
        }
        let device = rustix::fs::fstat(&dir).unwrap().st_dev;
        remove_all(&parent, Path::new(path.file_name().unwrap()), device).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn mounts_as_the_kernel_lists_them() {
        let text = "36 35 98:0 /a /var/lib/authentik/data rw,noatime master:1 - ext4 /dev/root rw\n\
            37 35 98:0 / /mnt/with\\040blank rw - tmpfs tmpfs rw\n";
        let found = mounts(text);
        assert_eq!(
            found,
            [PathBuf::from("/var/lib/authentik/data"), PathBuf::from("/mnt/with blank")]
        );
    }
}
