//! For programs: one JSON document, or JSON lines with a format number in the first.

use crate::error::{Failure, Result};
use crate::event::{Event, Output, Sink};
use crate::settings::origin::{KeyPath, Origin};
use crate::ui::Stdout;
use serde::Serialize;
use serde::de::IntoDeserializer;

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

/// The values in effect with their origins. The shape is a promise, numbered by `format`.
///
/// # Errors
/// If one has no JSON form: a defect.
pub fn settings(origins: &[(KeyPath, toml_edit::Value, Origin)]) -> Result<String> {
    let rows = origins.iter().map(|(path, value, origin)| {
        let value: serde_json::Value =
            serde::Deserialize::deserialize(value.clone().into_deserializer()).map_err(
                |error: toml_edit::de::Error| Failure::new("writing", "JSON", error.to_string()),
            )?;
        Ok(serde_json::json!({"key": path.join("."), "value": value, "origin": origin}))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    pretty(&serde_json::json!({"format": FORMAT, "settings": rows}))
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
