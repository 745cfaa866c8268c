//! The work on file descriptors behind `files.rs`: no link is followed, every step is relative to an
//! opened folder, and a file appears whole or not at all.

use crate::error::{Cause, Exit, Failure, Result};
use crate::host::accounts::Account;
use crate::host::files::{FileNow, Meta, Perms, Put};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags,
    fchmod, fchown, fstat, fsync, openat, openat2, renameat_with, statx, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::fs::File;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// Larger than any file that is read whole here.
const READ_CAP: u64 = 8 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Every parent must be root's and writable by root alone.
    RootOnly,
    /// No links, and the last folder must be root's: good for a file that only informs. Whoever can
    /// move that folder can move the file with it, and nothing else.
    LastRootOnly,
    /// No links, but anybody's folders: good for looking, and for work done as another user.
    Anybody,
}

pub(super) fn failure(doing: &str, path: &Path, cause: impl Into<Cause>) -> Failure {
    let failure = Failure::new(doing, path.display(), cause);
    match failure.cause() {
        Cause::Os(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => {
            let folder = path.parent().unwrap_or(path).display();
            failure.next(format!("make room there: df -h {folder}; df -i {folder}"))
        }
        _ => failure,
    }
}

pub(super) fn resolve() -> ResolveFlags {
    ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
}

pub(super) fn open_in(
    dir: &OwnedFd,
    name: &Path,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    match openat2(dir, name, flags | OFlags::CLOEXEC, mode, resolve()) {
        // Some sandboxes (RestrictSUIDSGID= of systemd) and emulators (QEMU before 9) do not have it.
        Err(Errno::NOSYS) => step_in(dir, name, flags, mode),
        other => other,
    }
}

// The same one component after the other.
fn step_in(dir: &OwnedFd, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return Err(Errno::XDEV),
        }
    }
    let flags = flags | OFlags::CLOEXEC;
    let Some((last, folders)) = names.split_last() else { return openat(dir, ".", flags, mode) };
    let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = None;
    for folder in folders {
        at = Some(openat(at.as_ref().unwrap_or(dir), *folder, through, Mode::empty())?);
    }
    let opened = openat(at.as_ref().unwrap_or(dir), *last, flags | OFlags::NOFOLLOW, mode)?;
    // As a path alone a link is opened itself, which was not asked for.
    let asked = !flags.contains(OFlags::PATH) || flags.contains(OFlags::NOFOLLOW);
    match asked || FileType::from_raw_mode(fstat(&opened)?.st_mode) != FileType::Symlink {
        true => Ok(opened),
        false => Err(Errno::LOOP),
    }
}

/// Opens what another root holds. Links lead where they lead there: never out of that root.
pub(super) fn open_in_root(
    root: &OwnedFd,
    path: &str,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

pub(super) fn trusted(dir: &OwnedFd, shown: &Path) -> Result<()> {
    let stat = fstat(dir).map_err(|errno| failure("looking at", shown, errno))?;
    if stat.st_uid == 0 && stat.st_mode & 0o022 == 0 {
        return Ok(());
    }
    let next = match stat.st_mode & Mode::SVTX.as_raw_mode() {
        0 => format!(
            "make it root's alone, if nobody else has to write there: chown root:root {0}; chmod go-w {0}",
            shown.display()
        ),
        // It is everybody's on purpose, as /tmp is.
        _ => "choose a folder that root alone can change, such as /root".to_owned(),
    };
    let why = "others than root can change this folder, so root does not use paths through it";
    Err(failure("going through", shown, why).next(next).exit(Exit::Unfit))
}

/// Opens a folder component by component. `None`: it does not exist.
pub(super) fn open_dir(path: &Path, trust: Trust) -> Result<Option<OwnedFd>> {
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
    if trust != Trust::Anybody {
        trusted(&dir, &shown)?;
    }
    Ok(Some(dir))
}

pub(super) fn split(path: &Path) -> Result<(&Path, &Path)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, Path::new(name))),
        _ => Err(failure("opening", path, "it has no parent folder")),
    }
}

pub(super) fn parent_of(path: &Path, trust: Trust) -> Result<(OwnedFd, &Path)> {
    let (parent, name) = split(path)?;
    match open_dir(parent, trust)? {
        Some(dir) => Ok((dir, name)),
        None => Err(failure("opening", parent, Errno::NOENT)),
    }
}

pub(super) fn meta(stat: &Stat) -> Meta {
    Meta {
        kind: FileType::from_raw_mode(stat.st_mode),
        perms: Perms { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 },
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
    }
}

pub(super) fn read_at(path: &Path, trust: Trust) -> Result<Option<FileNow>> {
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
            )
            .next(format!("look where it leads, and take it away: ls -l {}", path.display()))
            .exit(Exit::Unfit));
        }
        Err(errno) => return Err(failure("reading", path, errno)),
    };
    let stat = fstat(&fd).map_err(|errno| failure("reading", path, errno))?;
    let meta = meta(&stat);
    if meta.kind != FileType::RegularFile {
        return Err(failure("reading", path, "it is not a regular file")
            .next(format!("look what it is, and take it away: ls -ld {}", path.display()))
            .exit(Exit::Unfit));
    }
    let fixed = statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).is_ok_and(|now| {
        now.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
    });
    let mut bytes = Vec::new();
    File::from(fd)
        .take(READ_CAP + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failure("reading", path, error))?;
    match bytes.len() as u64 > READ_CAP {
        true => Err(failure("reading", path, "it is larger than 8 MiB, as no file of its kind is")),
        false => Ok(Some(FileNow { meta, bytes, fixed })),
    }
}

/// Runs `work` as another user: id, group and no other groups, on a thread that ends after it.
pub(super) fn as_user<T: Send>(
    account: &Account,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
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

pub(super) fn set_perms(fd: &OwnedFd, perms: Perms) -> rustix::io::Result<()> {
    fchown(fd, Some(Uid::from_raw(perms.uid)), Some(Gid::from_raw(perms.gid)))?;
    fchmod(fd, Mode::from_raw_mode(perms.mode))
}

pub(super) fn put_at(
    path: &Path,
    bytes: &[u8],
    perms: Perms,
    put: Put,
    trust: Trust,
) -> Result<()> {
    let (dir, name) = parent_of(path, trust)?;
    let fail = |cause: Cause| failure("writing", path, cause);
    let prefix = format!(".{}.authentik-install-", name.display());
    sweep(&dir, &prefix);
    let temp = format!("{prefix}{}", std::process::id());
    let temp = Path::new(&temp);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let fd = open_in(&dir, temp, flags, Mode::from_raw_mode(0o600)).map_err(|e| fail(e.into()))?;
    let written = (|| -> std::io::Result<()> {
        set_perms(&fd, perms)?;
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
pub(super) fn sweep(dir: &OwnedFd, prefix: &str) {
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
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_not_followed() {
        let dir =
            std::env::temp_dir().join(format!("authentik-install-test-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("real")).unwrap();
        symlink(dir.join("real"), dir.join("link")).unwrap();
        assert!(open_dir(&dir.join("real"), Trust::Anybody).unwrap().is_some());
        assert!(open_dir(&dir.join("link"), Trust::Anybody).is_err());
        assert!(open_dir(&dir.join("none"), Trust::Anybody).unwrap().is_none());
        assert!(open_dir(&dir.join("../x"), Trust::Anybody).is_err());
        // The temporary folder is everybody's, so root's own files are never put below it.
        assert!(open_dir(&dir, Trust::RootOnly).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn another_root_is_not_left() {
        let name = format!("authentik-install-root-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.join("out")).unwrap();
        std::os::unix::fs::symlink("/in", dir.join("link")).unwrap();
        std::fs::copy("/etc/hostname", dir.join("in")).unwrap();
        let root = OwnedFd::from(File::open(&dir).unwrap());
        let opens = |path| open_in_root(&root, path, OFlags::RDONLY).map(drop);
        assert_eq!(opens("/out"), Err(Errno::NOENT));
        assert_eq!(opens("/../../etc/passwd"), Err(Errno::NOENT));
        assert_eq!(opens("/link"), Ok(()));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_write_is_whole_and_sweeps_what_was_left() {
        let dir =
            std::env::temp_dir().join(format!("authentik-install-put-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("f");
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let own = Perms { uid, gid, mode: 0o600 };
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(".f.authentik-install-1"))
            .unwrap();
        put_at(&path, b"one", own, Put::New, Trust::Anybody).unwrap();
        assert!(put_at(&path, b"two", own, Put::New, Trust::Anybody).is_err());
        put_at(&path, b"three", own, Put::Replace, Trust::Anybody).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn step_by_step_leads_where_one_step_does() {
        let top = std::env::temp_dir().join(format!("step-in-{}", std::process::id()));
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(top.join("a/b/file"), "x").unwrap();
        symlink("b", top.join("a/link")).unwrap();
        symlink("b/file", top.join("a/filelink")).unwrap();
        let dir: OwnedFd = File::open(&top).unwrap().into();
        let (read, path) = (OFlags::RDONLY, OFlags::PATH);
        for name in [
            ".",
            "a",
            "a/b/file",
            "./a/b",
            "a/link",
            "a/link/file",
            "a/filelink",
            "none",
            "../x",
            "/etc",
            "a/b/file/x",
        ] {
            for flags in [read, path, path | OFlags::NOFOLLOW, read | OFlags::DIRECTORY] {
                let name = Path::new(name);
                let id = |fd: rustix::io::Result<OwnedFd>| {
                    fd.and_then(fstat).map(|stat| (stat.st_dev, stat.st_ino)).ok()
                };
                let one = openat2(&dir, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve());
                let steps = step_in(&dir, name, flags, Mode::empty());
                assert_eq!(id(one), id(steps), "{} {flags:?}", name.display());
            }
        }
        std::fs::remove_dir_all(&top).unwrap();
    }
}
