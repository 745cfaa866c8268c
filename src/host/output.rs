//! What a program answered, and the failure that it is if it failed.

use crate::error::{Cause, Failure};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const TAIL_LINES: usize = 8;

/// What a program answered.
#[derive(Debug, Clone)]
pub(in crate::host) struct Output {
    /// Exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    program: String,
    signal: Option<i32>,
}

impl Output {
    /// What `program` answered before it ended.
    pub fn of(program: String, status: ExitStatus, out: String, err: String) -> Self {
        Output { code: status.code(), signal: status.signal(), out, err, program }
    }

    /// An answer that no program gave.
    pub fn said(out: String) -> Self {
        Output::of(String::new(), ExitStatus::default(), out, String::new())
    }

    /// The answer as a failure.
    pub fn failure(&self) -> Failure {
        let lines: Vec<&str> =
            self.err.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        let status = match self.code {
            Some(code) => format!("status {code}"),
            None => self.signal_name().to_owned(),
        };
        Failure::new(
            "running",
            &self.program,
            Cause::Program { program: self.program.clone(), status, tail: tail.join(" | ") },
        )
    }

    fn signal_name(&self) -> &'static str {
        let signal = self.signal.and_then(|number| Signal::try_from(number).ok());
        signal.map_or("a signal", Signal::as_str)
    }
}
