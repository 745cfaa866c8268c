//! `settings`: an annotated file to begin with, the values in effect, and whether they do.

use crate::cli::{SettingsCheck, SettingsInit, SettingsShow};
use crate::data::release;
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::Writer;
use crate::host::files::{Perms, Put};
use crate::host::lock::Lock;
use crate::settings::resolve::template;
use crate::ui::{human, json};
use crate::verbs::{self, World};

/// `settings init`: writes the annotated file where none is.
///
/// # Errors
/// If there is one already, or it cannot be written.
pub fn init(world: &World<'_>, args: &SettingsInit) -> Result<Exit> {
    let newest = release::newest()?;
    let mut text = template(newest.default.as_str(), &newest.image)?;
    if let Some(domain) = &args.domain {
        text = text.replace("#domain = \"auth.example.com\"", &format!("domain = \"{domain}\""));
    }
    if args.stdout {
        world.output.result(text.trim_end());
        return Ok(Exit::Done);
    }
    let path = &args.config;
    let refuse = |why: &str, next: String| {
        Failure::new("writing the settings", path.display(), why).next(next).exit(Exit::Usage)
    };
    let lock = Lock::take("settings")?;
    let host = Writer::new(world.host.clone(), &lock);
    if host.stat(path)?.is_some() {
        let next = "look at it: authentik-install settings show".to_owned();
        return Err(refuse("it is there already", next));
    }
    let parent = path.parent().unwrap_or(path);
    if host.stat(parent)?.is_none() {
        host.create_dir(parent, Perms::root(0o755))?;
    }
    host.put(path, text.as_bytes(), Perms::root(0o644), Put::New)?;
    world.output.result(&format!("{} is written", path.display()));
    world.told.emit(&Event::note("Next: set domain in it, then run authentik-install install"));
    Ok(Exit::Done)
}

/// `settings show`: every value in effect and where it comes from.
///
/// # Errors
/// If the settings are wrong.
pub fn show(world: &World<'_>, args: &SettingsShow) -> Result<Exit> {
    let settings = verbs::resolved(&world.host, &args.settings)?;
    let origins = settings.layers.origins();
    let text = if args.json { json::settings(&origins)? } else { human::settings(&origins) };
    world.output.result(text.trim_end());
    Ok(Exit::Done)
}

/// `settings check`: reads them as `install` would, given secrets too.
///
/// # Errors
/// If anything is wrong with them, with the line.
pub fn check(world: &World<'_>, args: &SettingsCheck) -> Result<Exit> {
    let settings = verbs::resolved(&world.host, &args.settings)?;
    let (path, domain) = (settings.paths.settings.display(), &settings.domain);
    let version = &settings.version;
    world.output.result(&format!("{path} is in order: authentik {version} at {domain}"));
    Ok(Exit::Done)
}
