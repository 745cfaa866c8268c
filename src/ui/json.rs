//! For programs: one JSON document, or JSON lines with a format number in the first.

use crate::error::{Failure, Result};
use crate::event::{Event, Output, Sink};
use crate::ui::Stdout;
use serde::Serialize;

/// Number of the shape of the lines.
const FORMAT: u32 = 1;

/// Events as JSON lines on standard output.
#[derive(Debug)]
pub struct Lines;

impl Lines {
    /// Writes the first line, which names the format.
    pub fn start() -> Self {
        Stdout.result(&format!("{{\"event\":\"start\",\"format\":{FORMAT}}}"));
        Lines
    }
}

impl Sink for Lines {
    fn emit(&self, event: &Event) {
        if let Ok(text) = serde_json::to_string(event) {
            Stdout.result(&text);
        }
    }
}

/// The last line of an installation.
#[derive(Debug, Serialize)]
pub struct Installed<'a> {
    /// Always `installed`.
    pub event: &'a str,
    /// How many changes were made.
    pub changes: usize,
    /// Where authentik answers.
    pub url: &'a str,
    /// Version of authentik.
    pub version: &'a str,
}

/// A value as one line.
///
/// # Errors
/// If it has no JSON form: a defect.
pub fn line(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::new("writing", "JSON", error.to_string()))
}

/// A value as a document.
///
/// # Errors
/// If it has no JSON form: a defect.
pub fn pretty(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new("writing", "JSON", error.to_string()))
}
