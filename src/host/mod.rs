//! The host behind two capabilities: a [`Reader`] can only look, a [`Writer`] can change.
//!
//! This is the only layer that starts processes, opens files or sockets.

pub mod accounts;
pub mod archive;
pub mod arg;
pub mod caddy;
pub mod dump;
pub mod files;
pub mod http;
pub mod interrupt;
pub mod lock;
pub mod machine;
mod memo;
pub mod nest;
mod notify;
mod openat;
mod output;
pub mod outside;
mod packages;
pub mod podman;
pub mod postgres;
pub mod process;
pub mod programs;
mod registry;
pub mod releases;
pub mod run;
pub mod scram;
pub mod session;
pub mod store;
pub mod systemd;
mod terminal;
pub mod tls;
pub mod tree;
pub mod valkey;

use crate::error::{Failure, Result};
use interrupt::Interrupt;
use lock::Lock;
use memo::{About, Memo};
use session::Sessions;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Looks at the host. Nothing reachable from here changes it.
#[derive(Debug, Clone)]
pub struct Reader {
    runtime: Handle,
    interrupt: Interrupt,
    memo: Arc<Memo>,
    sessions: Arc<Sessions>,
    until: Option<Instant>,
}

impl Reader {
    /// A reader whose processes live on `runtime` and end early when `interrupt` is raised.
    pub fn new(runtime: Handle, interrupt: Interrupt) -> Self {
        Reader { runtime, interrupt, memo: Arc::default(), sessions: Arc::default(), until: None }
    }

    /// The same reader, whose every question has to be answered within this time from now on.
    pub fn within(&self, time: Duration) -> Self {
        Reader { until: Some(Instant::now() + time), ..self.clone() }
    }

    /// How long a question may take that may usually take as long as `usual`.
    pub fn patience(&self, usual: Duration) -> Duration {
        self.until.map_or(usual, |until| {
            let left = until.saturating_duration_since(Instant::now());
            usual.min(left).max(Duration::from_millis(1))
        })
    }

    /// Has the user asked to stop?
    ///
    /// # Errors
    /// If so, with the exit code of the signal.
    pub fn check_interrupt(&self) -> Result<()> {
        self.interrupt.check()
    }

    /// The same for what copies streams.
    ///
    /// # Errors
    /// If so.
    pub fn go_on(&self) -> std::io::Result<()> {
        self.check_interrupt().map_err(|stop| std::io::Error::other(stop.summary()))
    }

    /// Asks the host anew from now on: something has changed, or time has passed.
    pub fn forget(&self) {
        self.memo.forget_but(About::Machine);
    }

    // A file was written: only who reads such files may answer otherwise. What lies in our own
    // folder is read at a start alone.
    fn forget_file(&self, path: &Path) {
        if path.starts_with("/etc/authentik") {
            return;
        }
        let units = ["/etc/systemd", "/etc/containers"];
        match units.iter().any(|dir| path.starts_with(dir)) {
            true => self.memo.forget_all_about(&[About::Units]),
            false => self.memo.forget_all_about(&[About::Units, About::Proxy]),
        }
    }

    /// Where blocking work runs in parallel.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Sleeps, and ends early with an error if the user asks to stop.
    ///
    /// # Errors
    /// If the user asked to stop.
    pub fn pause(&self, time: Duration) -> Result<()> {
        // Time alone makes no users and writes no Caddyfile.
        self.memo.forget_all_about(&[About::Units, About::Containers, About::Database]);
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.check_interrupt()?;
            std::thread::sleep(time.min(Duration::from_millis(100)));
        }
        Ok(())
    }
}

/// Changes the host. It can only be made by whoever holds the lock.
#[derive(Debug)]
pub struct Writer<'lock> {
    reader: Reader,
    _lock: &'lock Lock,
}

impl<'lock> Writer<'lock> {
    /// A writer for as long as the lock is held.
    pub fn new(reader: Reader, lock: &'lock Lock) -> Self {
        Writer { reader, _lock: lock }
    }

    /// The same writer, which goes on when the user asks to stop: what leads back must end.
    pub fn undisturbed(&self) -> Self {
        let reader = Reader { interrupt: Interrupt::never(), ..self.reader.clone() };
        Writer { reader, _lock: self._lock }
    }
}

impl Deref for Writer<'_> {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

/// Parses what a program or the kernel said.
pub(in crate::host) fn parse<T: std::str::FromStr>(
    doing: &str,
    what: &str,
    text: &str,
) -> Result<T> {
    text.trim()
        .parse()
        .map_err(|_| Failure::new(doing, what, format!("not understood: {:?}", text.trim())))
}
