//! Answers of programs that only look, kept until something is changed or waited for.
//!
//! Many resources ask the same: who is this user, what does this unit say. Within one look at the
//! host the answer is the same, so it is asked once. Whatever might change an answer forgets it.

use crate::error::Result;
use crate::host::output::Output;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// What no step of ours changes: versions, addresses, the firewall.
    Machine,
    /// Users and groups.
    Accounts,
    /// Units of systemd; also their files.
    Units,
    /// Podman's images.
    Images,
    /// Podman's containers.
    Containers,
    /// What PostgreSQL holds.
    Database,
    /// Caddy's configuration; also its files.
    Proxy,
}

type Slot = Arc<Mutex<Option<Output>>>;

/// The answers.
#[derive(Debug, Default)]
pub(in crate::host) struct Memo(Mutex<HashMap<(About, Vec<u8>), Slot>>);

impl Memo {
    /// The answer to this question, from `ask` unless it is known. Whoever asks the same at the
    /// same time waits for that answer.
    ///
    /// # Errors
    /// Those of `ask`, which are not kept.
    pub fn answer(
        &self,
        question: (About, Vec<u8>),
        ask: impl FnOnce() -> Result<Output>,
    ) -> Result<Output> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(question).or_default())
        };
        let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(output) = known.as_ref() {
            return Ok(output.clone());
        }
        let output = ask()?;
        *known = Some(output.clone());
        Ok(output)
    }

    /// Forgets everything but what is about this.
    pub fn forget_but(&self, kept: About) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(about, _), _| *about == kept);
    }

    /// Forgets what is about these alone.
    pub fn forget_all_about(&self, gone: &[About]) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(about, _), _| !gone.contains(about));
    }
}
