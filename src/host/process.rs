//! A running process of a container, seen from the host: what it may read and write, by its own ids
//! and groups and in its own view of the file system.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::openat::open_in_root;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A process.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    root: OwnedFd,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are free for everybody.
    pub free: u64,
    /// Files in all; 0 where the file system does not count them.
    pub inodes: u64,
    /// Files that can still be made.
    pub inodes_free: u64,
    /// Which one it is.
    pub file_system: u64,
}

impl Space {
    pub(in crate::host) fn of(stat: &rustix::fs::StatVfs) -> Self {
        Space {
            size: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
            inodes: stat.f_files,
            inodes_free: stat.f_favail,
            file_system: stat.f_fsid,
        }
    }
}

fn ids(status: &str, key: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

impl Reader {
    /// The process of this number.
    ///
    /// # Errors
    /// If it is gone, or is not to be looked into.
    pub fn process(&self, pid: u32) -> Result<Process> {
        let fail = |why: String| Failure::new("looking into the process", pid, why);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .map_err(|error| fail(error.to_string()))?;
        // The fourth is the one that files are opened by.
        let id = |key| ids(&status, key).get(3).copied().ok_or_else(|| fail(format!("no {key}")));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty())
            .map_err(|errno| fail(errno.to_string()))?;
        Ok(Process {
            pid,
            uid: id("Uid:")?,
            gid: id("Gid:")?,
            groups: ids(&status, "Groups:"),
            root,
        })
    }

    /// How full the file system is that a path lies on.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn space(&self, path: &Path) -> Result<Space> {
        rustix::fs::statvfs(path)
            .map(|stat| Space::of(&stat))
            .map_err(|errno| Failure::new("looking at", path.display(), errno))
    }
}

impl Process {
    // Paths are looked up in the process's own root, by its own ids, on a thread that ends after it.
    fn as_itself<T: Send>(
        &self,
        work: impl FnOnce(&OwnedFd) -> rustix::io::Result<T> + Send,
    ) -> rustix::io::Result<T> {
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rustix::thread::set_thread_groups(&groups)?;
                rustix::thread::set_thread_res_gid(gid, gid, gid)?;
                rustix::thread::set_thread_res_uid(uid, uid, uid)?;
                work(&self.root)
            });
            thread.join().unwrap_or(Err(Errno::IO))
        })
    }

    /// Opens a file for reading as the process would, and closes it again.
    ///
    /// # Errors
    /// What the process would be told.
    pub fn opens(&self, path: &str) -> rustix::io::Result<()> {
        self.as_itself(|root| open_in_root(root, path, OFlags::RDONLY | OFlags::NONBLOCK).map(drop))
    }

    /// May the process make files in this folder?
    ///
    /// # Errors
    /// What the process would be told.
    pub fn may_write(&self, path: &str) -> rustix::io::Result<()> {
        let all = Access::WRITE_OK | Access::EXEC_OK;
        self.as_itself(|root| {
            let folder = open_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY)?;
            rustix::fs::accessat(&folder, ".", all, AtFlags::empty())
        })
    }

    /// Is what the process finds at `inner` the very file or folder that is `outer` on this host?
    ///
    /// # Errors
    /// If either is not there.
    pub fn shares(&self, inner: &str, outer: &Path) -> rustix::io::Result<bool> {
        let there = self.as_itself(|root| fstat(open_in_root(root, inner, OFlags::PATH)?))?;
        let here = rustix::fs::stat(outer)?;
        Ok((there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
    }

    /// How full a file system of the process is.
    ///
    /// # Errors
    /// If it is not there.
    pub fn space(&self, path: &str) -> rustix::io::Result<Space> {
        let fd = open_in_root(&self.root, path, OFlags::PATH)?;
        rustix::fs::fstatvfs(&fd).map(|stat| Space::of(&stat))
    }

    /// The open files, and how many there may be, of that process below it that is the nearest to
    /// its limit; the first one often only starts the others.
    ///
    /// # Errors
    /// If it is gone.
    pub fn descriptors(&self) -> Result<(u64, u64)> {
        let mut worst = descriptors(self.pid)
            .map_err(|error| Failure::new("looking into the process", self.pid, error))?;
        let mut family = children(self.pid);
        while let Some(pid) = family.pop() {
            // One that has ended meanwhile has none.
            if let Ok((open, most)) = descriptors(pid)
                && open * worst.1 > worst.0 * most
            {
                worst = (open, most);
            }
            family.extend(children(pid));
        }
        Ok(worst)
    }

    /// Its environment. Only names that are asked for should be printed.
    ///
    /// # Errors
    /// If it is gone.
    pub fn environment(&self) -> Result<BTreeMap<String, String>> {
        let bytes = std::fs::read(format!("/proc/{}/environ", self.pid))
            .map_err(|error| Failure::new("looking into the process", self.pid, error))?;
        let text = String::from_utf8_lossy(&bytes);
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Who is connected to a TCP port in the network of the process, by IPv4.
    ///
    /// # Errors
    /// If it is gone.
    pub fn clients(&self, port: u16) -> Result<Vec<Ipv4Addr>> {
        let mut found = Vec::new();
        for (table, v6) in [("tcp", false), ("tcp6", true)] {
            let path = format!("/proc/{}/net/{table}", self.pid);
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::new("looking into the process", self.pid, error))?;
            found.extend(text.lines().filter_map(|line| client(line, port, v6)));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn descriptors(pid: u32) -> std::io::Result<(u64, u64)> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    // "unlimited" is more than can be multiplied.
    let most = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok((open as u64, most.unwrap_or(u64::from(u32::MAX))))
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

// sl local_address rem_address st …; addresses in hex, as the machine keeps them.
fn client(line: &str, port: u16, v6: bool) -> Option<Ipv4Addr> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    let own = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    // 0A: it listens.
    if own != port || state == "0A" {
        return None;
    }
    let address = remote.rsplit_once(':')?.0;
    let tail = if v6 { address.get(24..)? } else { address };
    u32::from_str_radix(tail, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_as_the_kernel_lists_them() {
        let line =
            "   1: 0000000A:2328 0002000A:C350 01 00000000:00000000 00:00000000 00000000 0 0 1";
        assert_eq!(client(line, 9000, false), Some(Ipv4Addr::new(10, 0, 2, 0)));
        assert_eq!(client(line, 9443, false), None);
        assert_eq!(client(&line.replace(" 01 ", " 0A "), 9000, false), None);
        let v6 =
            "0: 0000000000000000FFFF00000100007F:2328 0000000000000000FFFF00000002000A:C350 01";
        assert_eq!(client(v6, 9000, true), Some(Ipv4Addr::new(10, 0, 2, 0)));
    }

    #[test]
    fn this_process_sees_itself() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let interrupt = crate::host::interrupt::Interrupt::listen(runtime.handle()).unwrap();
        let host = Reader::new(runtime.handle().clone(), interrupt);
        let own = host.process(std::process::id()).unwrap();
        assert!(own.opens("/etc/passwd").is_ok());
        assert_eq!(own.opens("/no/such/file"), Err(Errno::NOENT));
        assert!(own.descriptors().unwrap().0 > 2);
    }
}
