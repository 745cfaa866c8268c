//! How events and results look: for a person on a terminal, for a file, for a program, and in the
//! journal.

pub mod backup;
pub mod human;
pub mod journal;
pub mod json;
pub mod plain;
pub mod status;
pub mod verify;

use crate::event::Sink;
use std::io::{IsTerminal, Write};

/// Standard output.
#[derive(Debug)]
pub struct Stdout;

impl crate::event::Output for Stdout {
    fn result(&self, text: &str) {
        // A reader that went away (a closed pipe) is no failure of the work.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
        let _ = out.flush();
    }
}

/// Where the events of this run go.
pub fn sink(as_json: bool, progress: bool) -> Box<dyn Sink> {
    if as_json {
        return Box::new(json::Lines::start());
    }
    if progress && std::io::stderr().is_terminal() {
        return Box::new(human::Progress::new());
    }
    Box::new(plain::Lines)
}

// How a check ended, for a person: what failed is to be seen from afar.
fn word(level: crate::checks::Level) -> &'static str {
    use crate::checks::Level;
    match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Unknown => "unknown",
        Level::Fail => "FAIL",
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Tells a failure.
pub fn failure(failure: &crate::error::Failure) {
    say(&format!("authentik-install: {failure}"));
    if failure.next_step().is_none() && failure.exit_code() == crate::error::Exit::Failed {
        say("  next: run the same command again; if it fails again: authentik-install doctor");
    }
}
