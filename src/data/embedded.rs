//! The files of `embedded/`, inside the binary.

use crate::error::{Failure, Result};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "embedded/"]
struct Files;

/// The text of an embedded file, by its path below `embedded/`.
///
/// # Errors
/// If there is no such file: a defect of this build.
pub fn text(path: &str) -> Result<String> {
    let broken = |why: &str| {
        Failure::new("reading the embedded file", path, why)
            .next("this binary is broken: download it again")
    };
    let file = Files::get(path).ok_or_else(|| broken("it is missing"))?;
    String::from_utf8(file.data.into_owned()).map_err(|_| broken("it is not text"))
}

/// Reads an embedded TOML table.
///
/// # Errors
/// If the file is missing or does not have the shape of `T`: a defect of this build.
pub fn table<T: serde::de::DeserializeOwned>(path: &str) -> Result<T> {
    toml_edit::de::from_str(&text(path)?)
        .map_err(|error| Failure::new("reading the embedded table", path, error.to_string()))
}
