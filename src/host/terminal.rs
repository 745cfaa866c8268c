//! Programs that a person talks to: they get our own standard input and output.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::accounts::Account;
use crate::host::run::{Cmd, find};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, BufRead, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

/// Between two looks whether somebody wants to stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl Cmd {
    /// Runs with our own standard streams, for as long as it takes, and returns its exit status, as a
    /// shell would: 128 and the signal's number if one ended it. Ctrl-C is its own to take.
    ///
    /// # Errors
    /// If it cannot be started.
    fn hand_over(self, host: &Reader) -> Result<u8> {
        let name = self.name().to_owned();
        let path = find(&name).ok_or_else(|| {
            Failure::new("starting", &name, "it is not installed").next("authentik-install check")
        })?;
        let mut command = self.command(&path);
        // The terminal's own group: in another one it could not read from it.
        command.process_group(rustix::process::getpgrp().as_raw_nonzero().get());
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        command.kill_on_drop(false);
        let ended = host.runtime().block_on(async {
            match command.spawn() {
                Ok(mut child) => child.wait().await,
                Err(error) => Err(error),
            }
        });
        let status = ended.map_err(|error| Failure::new("running", &name, error))?;
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

impl Reader {
    /// Runs a program in a running container, for a person, and returns its exit status.
    ///
    /// # Errors
    /// If Podman cannot be started.
    pub fn exec_for_person(
        &self,
        account: &Account,
        container: &str,
        args: &[String],
    ) -> Result<u8> {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let flags: &[&str] = if terminal { &["exec", "-it"] } else { &["exec", "-i"] };
        let cmd = Cmd::new("podman").user(account).args(flags.iter().copied()).arg(container);
        cmd.args(args.iter().map(String::as_str)).hand_over(self)
    }

    /// Waits for a line on the terminal; blanks at its ends are left out.
    ///
    /// # Errors
    /// As the signal that came instead. Inside, if the terminal cannot be read.
    pub fn line_of_person(&self) -> Result<io::Result<String>> {
        let stdin = io::stdin();
        loop {
            // Reading goes on after a signal, so nothing is read before there is something.
            self.check_interrupt()?;
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Err(errno) => return Ok(Err(errno.into())),
                Ok(_) => break,
            }
        }
        let mut line = String::new();
        Ok(stdin.lock().read_line(&mut line).map(|_| line.trim().to_owned()))
    }

    /// Shows a person the journal, through journalctl with these arguments, and returns its exit
    /// status.
    ///
    /// # Errors
    /// If journalctl cannot be started.
    pub fn journal_for_person(&self, args: &[String]) -> Result<u8> {
        Cmd::new("journalctl").args(args.iter().map(String::as_str)).hand_over(self)
    }
}
