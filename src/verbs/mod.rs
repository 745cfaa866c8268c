//! One file a verb: wiring only.

pub mod admin;
pub mod check;
pub mod install;
pub mod plan;

use crate::cli::SettingsArgs;
use crate::error::{Exit, Failure, Result};
use crate::event::{Output, Sink};
use crate::host::Reader;
use crate::secret::Secret;
use crate::settings::resolve::OneTime;
use crate::settings::{Input, Settings};
use std::path::Path;
use std::time::Duration;

/// What every verb gets.
pub struct World<'w> {
    /// The host.
    pub host: Reader,
    /// Where events go.
    pub told: &'w dyn Sink,
    /// Where results go.
    pub output: &'w dyn Output,
}

/// Reads the settings file, if it is there, and decides every value.
///
/// # Errors
/// With [`Exit::Usage`] if a value is missing or wrong. Nothing was touched.
fn settings(host: &Reader, args: &SettingsArgs) -> Result<Settings> {
    let usage = |failure: Failure| failure.exit(Exit::Usage);
    let file = from_file(host, &args.config)?;
    let admin_password = match &args.admin_password_file {
        None => None,
        Some(path) => Some(password(host, path).map_err(usage)?),
    };
    if let Some(path) = &args.image_archive {
        host.open_named(path).map_err(usage)?;
    }
    let once = OneTime {
        settings_path: args.config.clone(),
        image_archive: args.image_archive.clone(),
        admin_password,
        deadline: Duration::from_secs(args.deadline),
    };
    Settings::resolve(args.input(), file, once)
}

fn from_file(host: &Reader, path: &Path) -> Result<Input> {
    if !path.is_absolute() || path.extension().is_none_or(|end| end != "toml") {
        return Err(Failure::new(
            "reading the settings",
            path.display(),
            "it is not an absolute path that ends in .toml",
        )
        .next("give --config /etc/authentik/install.toml")
        .exit(Exit::Usage));
    }
    match host.read(path).map_err(|failure| failure.exit(Exit::Usage))? {
        Some(file) => Input::from_toml(&file.text()?, path),
        None => Ok(Input::default()),
    }
}

fn password(host: &Reader, path: &Path) -> Result<Secret> {
    use std::io::Read;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    host.open_named(path)?
        .take(4096)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new("reading the password in", path.display(), error))?;
    Secret::from_file_bytes(&bytes).map_err(|why| {
        Failure::new("reading the password in", path.display(), why)
            .next("write the password as one line into that file")
    })
}
