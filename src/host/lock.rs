//! One run at a time.

use crate::error::{Exit, Failure, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const DIR: &str = "/run/authentik-install";

/// The right to change the host. Released when dropped, also when the process is killed.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Flock<File>);

impl Lock {
    /// Takes the lock, or says that another run has it.
    ///
    /// # Errors
    /// With [`Exit::Locked`] if another run holds it.
    pub fn take() -> Result<Self> {
        let path = Path::new(DIR).join("lock");
        let fail = |error: std::io::Error| Failure::new("taking the lock", path.display(), error);
        match DirBuilder::new().mode(0o700).create(DIR) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(fail(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                // The number is for people; the lock is the file's, so a failed write changes nothing.
                let _ = held.set_len(0);
                let _ = writeln!(held, "{}", std::process::id());
                Ok(Lock(held))
            }
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let owner = std::fs::read_to_string(&path).unwrap_or_default();
                Err(Failure::new(
                    "taking the lock",
                    path.display(),
                    format!("another run holds it (process {})", owner.trim()),
                )
                .next("wait for it to end, then run again")
                .exit(Exit::Locked))
            }
            Err((_, errno)) => Err(fail(errno.into())),
        }
    }
}
