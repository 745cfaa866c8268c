//! One line an event, on standard error: for logs and pipes.

use crate::event::{Event, Sink};
use crate::ui::say;

/// Lines without colour or motion.
#[derive(Debug)]
pub struct Lines;

/// A long wait is told about this often, in seconds.
const EVERY: u64 = 15;

impl Sink for Lines {
    fn emit(&self, event: &Event) {
        match event {
            Event::Phase { phase } => say(phase),
            Event::Changing { .. } => {}
            Event::Changed { text, .. } => say(&format!("  {text}")),
            Event::Waiting { missing, elapsed, limit, .. } if elapsed % EVERY == EVERY - 1 => {
                say(&format!("  … {missing} ({elapsed} of {limit} s)"));
            }
            Event::Waiting { .. } | Event::Moving { .. } => {}
            Event::Note { text } => say(text),
            Event::Warning { text } => say(&format!("warning: {text}")),
        }
    }
}
