//! One run at a time.

use crate::error::{Exit, Failure, Result};
use crate::host::Reader;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

const DIR: &str = "/run/authentik-install";

/// The right to change the host. Released when dropped, also when the process is killed.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Flock<File>);

// Who took it last: process and verb.
fn holder() -> (String, String) {
    let text = std::fs::read_to_string(Path::new(DIR).join("lock")).unwrap_or_default();
    let (pid, verb) = text.trim().split_once(' ').unwrap_or_default();
    (pid.to_owned(), verb.to_owned())
}

impl Lock {
    /// The verb of another run that holds the lock, if one does.
    pub fn held_by() -> Option<String> {
        let held = Lock::take("verify").is_err_and(|failure| failure.exit_code() == Exit::Locked);
        held.then(|| holder().1)
    }

    /// Takes the lock, and waits for it if another run has it.
    ///
    /// # Errors
    /// With [`Exit::Locked`] if another run still holds it after this time.
    pub fn wait(host: &Reader, verb: &str, limit: Duration) -> Result<Self> {
        let begun = Instant::now();
        loop {
            match Lock::take(verb) {
                Err(failure) if failure.exit_code() == Exit::Locked && begun.elapsed() < limit => {
                    host.pause(Duration::from_secs(2))?;
                }
                other => return other,
            }
        }
    }

    /// Takes the lock for a verb, or says that another run has it.
    ///
    /// # Errors
    /// With [`Exit::Locked`] if another run holds it.
    pub fn take(verb: &str) -> Result<Self> {
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
                let _ = writeln!(held, "{} {verb}", std::process::id());
                Ok(Lock(held))
            }
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let (pid, verb) = holder();
                Err(Failure::new(
                    "taking the lock",
                    path.display(),
                    format!("another run holds it: {verb}, process {pid}"),
                )
                .next("wait for it to end, then run again")
                .exit(Exit::Locked))
            }
            Err((_, errno)) => Err(fail(errno.into())),
        }
    }
}
