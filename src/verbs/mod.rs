//! One file a verb: wiring only.

pub mod admin;
pub mod backup;
pub mod check;
pub mod doctor;
pub mod install;
pub mod logs;
pub mod manual;
mod offsite;
pub mod own;
mod packages;
pub mod plan;
pub mod restore;
mod scheduled;
mod secrets;
pub mod settings;
pub mod status;
mod undo;
pub mod uninstall;
pub mod verify;

use crate::cli::{DEADLINE, SettingsArgs};
use crate::error::{Exit, Failure, Result};
use crate::event::{Output, Sink};
use crate::host::Reader;
use crate::host::accounts::Account;
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

/// Reads the settings file, if it is there, and decides every value; given secrets too.
///
/// # Errors
/// With [`Exit::Usage`] if a value is missing or wrong. Nothing was touched.
fn resolved(host: &Reader, args: &SettingsArgs) -> Result<Settings> {
    resolve(host, args, from_file(host, &args.config)?)
}

/// The same, with a text in the place of the settings file.
///
/// # Errors
/// As [`resolved`].
fn resolved_over(host: &Reader, args: &SettingsArgs, text: &str) -> Result<Settings> {
    resolve(host, args, (Input::from_toml(text, &args.config)?, text.to_owned()))
}

fn resolve(host: &Reader, args: &SettingsArgs, file: (Input, String)) -> Result<Settings> {
    let admin_password =
        args.admin_password_file.as_ref().map(|path| secrets::from_file(host, path)).transpose()?;
    if let Some(path) = &args.image_archive {
        host.open_named(path).map_err(|failure| failure.exit(Exit::Usage))?;
    }
    let once = OneTime {
        settings_path: args.config.clone(),
        image_archive: args.image_archive.clone(),
        admin_password,
        deadline: Duration::from_secs(args.deadline),
    };
    let mut settings = Settings::resolve(args.input()?, (file.0, &file.1), once)?;
    settings.given = secrets::given(host, &settings, args)?;
    for (table, key, calendar) in [
        ("verify", "schedule", &settings.verify.schedule),
        ("backup", "schedule", &settings.backup.schedule),
        ("backup", "deep_schedule", &settings.backup.deep_schedule),
    ] {
        if settings.layers.is_written(&vec![table.into(), key.into()]) {
            host.refuse_calendar(calendar.as_str())?;
        }
    }
    Ok(settings)
}

/// The settings of the installation that is here, as its file has them.
///
/// # Errors
/// With [`Exit::Usage`] if a value is missing or wrong.
fn stored(host: &Reader, path: &Path) -> Result<Settings> {
    let file = from_file(host, path)?;
    let once = OneTime {
        settings_path: path.to_owned(),
        image_archive: None,
        admin_password: None,
        deadline: Duration::from_secs(DEADLINE),
    };
    Settings::resolve(Input::default(), (file.0, &file.1), once)
}

/// The settings of the installation that is here, and a refusal where there is none.
///
/// # Errors
/// If nothing is installed here, or the settings are wrong.
fn installed(host: &Reader, config: &Path) -> Result<Settings> {
    if host.read(config)?.is_none() {
        return Err(Failure::new("looking for", config.display(), "nothing is installed here")
            .next("authentik-install install --domain auth.example.com")
            .exit(Exit::Unfit));
    }
    stored(host, config)
}

/// The service user of an installation.
///
/// # Errors
/// If there is none: nothing is installed here.
fn account(host: &Reader, settings: &Settings) -> Result<Account> {
    host.account(settings.user.as_str())?.ok_or_else(|| {
        Failure::new("looking for the user", &settings.user, "authentik is not installed here")
            .next("authentik-install install")
            .exit(Exit::Unfit)
    })
}

// The settings file and its text; a host without one has an empty one.
fn from_file(host: &Reader, path: &Path) -> Result<(Input, String)> {
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
        Some(file) => {
            let text = file.text()?;
            Ok((Input::from_toml(&text, path)?, text))
        }
        None => Ok((Input::default(), String::new())),
    }
}
