//! What a run tells while it works. Events are data; `ui` decides how they look.

use serde::Serialize;
use std::time::Duration;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A phase begins.
    Phase {
        /// Its name.
        phase: &'static str,
    },
    /// A change is about to be made to the host.
    Changing {
        /// The resource.
        id: String,
        /// What is done.
        text: String,
    },
    /// A change was made and seen.
    Changed {
        /// The resource.
        id: String,
        /// What was done.
        text: String,
    },
    /// Something takes time: what is waited for and what is still missing.
    Waiting {
        /// What is waited for.
        id: String,
        /// What is missing.
        missing: String,
        /// Seconds since the wait began.
        elapsed: u64,
        /// Seconds after which it is given up.
        limit: u64,
    },
    /// Bytes are moved: how many so far, of about how many.
    Moving {
        /// What is done.
        id: String,
        /// Bytes so far.
        done: u64,
        /// About how many there are.
        total: u64,
    },
    /// Something worth knowing.
    Note {
        /// The text.
        text: String,
    },
    /// Something that should not stay as it is.
    Warning {
        /// The text.
        text: String,
    },
}

impl Event {
    /// A note.
    pub fn note(text: impl Into<String>) -> Self {
        Event::Note { text: text.into() }
    }

    /// A warning.
    pub fn warning(text: impl Into<String>) -> Self {
        Event::Warning { text: text.into() }
    }

    /// A wait that goes on.
    pub fn waiting(
        id: &str,
        missing: impl Into<String>,
        elapsed: Duration,
        limit: Duration,
    ) -> Self {
        Event::Waiting {
            id: id.to_owned(),
            missing: missing.into(),
            elapsed: elapsed.as_secs(),
            limit: limit.as_secs(),
        }
    }
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: &Event);
}

/// Where a verb says its results: to standard output, once, at its end.
pub trait Output {
    /// Text for a person or JSON for a program, whole lines.
    fn result(&self, text: &str);
}
