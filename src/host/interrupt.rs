//! SIGINT, SIGTERM and SIGHUP: a wish to stop, honoured between two changes and during long waits. The
//! second one is no wish: it ends the program where it stands, as a kill would, and the next run goes on.

use crate::error::{Exit, Failure, Result};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The wish to stop, shared by everything that waits.
#[derive(Debug, Clone)]
pub struct Interrupt {
    raised: watch::Receiver<Option<Exit>>,
    _sender: Arc<watch::Sender<Option<Exit>>>,
}

fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

impl Interrupt {
    /// Listens for the signals from now on.
    ///
    /// # Errors
    /// If the kernel gives no signal handler.
    pub fn listen(runtime: &Handle) -> Result<Self> {
        let (sender, raised) = watch::channel(None);
        let sender = Arc::new(sender);
        let _context = runtime.enter();
        for (kind, exit) in [
            (SignalKind::interrupt(), Exit::Interrupted),
            (SignalKind::terminate(), Exit::Terminated),
            (SignalKind::hangup(), Exit::HungUp),
        ] {
            // nohup(1) means it.
            if exit == Exit::HungUp && hangup_is_ignored() {
                continue;
            }
            let mut signals =
                signal(kind).map_err(|error| Failure::new("listening for", "signals", error))?;
            let sender = Arc::clone(&sender);
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    if sender.send_replace(Some(exit)).is_some() {
                        std::process::exit(exit as i32);
                    }
                }
            });
        }
        Ok(Interrupt { raised, _sender: sender })
    }

    /// One that never hears of a signal, for what has to come to its end.
    pub fn never() -> Self {
        let (sender, raised) = watch::channel(None);
        Interrupt { raised, _sender: Arc::new(sender) }
    }

    /// Has a signal arrived?
    ///
    /// # Errors
    /// If so.
    pub fn check(&self) -> Result<()> {
        match *self.raised.borrow() {
            Some(exit) => Err(Interrupt::failure(exit)),
            None => Ok(()),
        }
    }

    /// Waits until a signal arrives.
    pub async fn raised(&self) -> Failure {
        let mut raised = self.raised.clone();
        match raised.wait_for(Option::is_some).await {
            Ok(exit) => Interrupt::failure(exit.unwrap_or(Exit::Interrupted)),
            Err(_) => std::future::pending().await,
        }
    }

    fn failure(exit: Exit) -> Failure {
        let signal = match exit {
            Exit::Terminated => "SIGTERM",
            Exit::HungUp => "SIGHUP",
            _ => "SIGINT",
        };
        Failure::new("stopping on", signal, "what was begun is finished, the rest is not done")
            .next("run the same command again: it goes on where this one stopped")
            .exit(exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_stop_is_told_as_such_wherever_it_arrives() {
        let told = Interrupt::failure(Exit::HungUp).about("loading", "/image.tar").to_string();
        assert!(told.starts_with("stopping on SIGHUP: "), "{told}");
    }
}
