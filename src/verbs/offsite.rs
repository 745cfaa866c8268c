//! `backup send` and `backup fetch`: to another machine and back.

use super::backup::{lock, opened, tell};
use crate::backup::offsite::{self, Place};
use crate::backup::shelf::{self, Shelved};
use crate::cli::{Fetch, Send};
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::Writer;
use crate::settings::Settings;
use crate::settings::input::Offsite;
use crate::verbs::{World, scheduled};
use std::path::{Path, PathBuf};

fn place(settings: &Offsite) -> Result<Place<'_>> {
    Place::of(settings).ok_or_else(|| {
        Failure::new("looking for", "[backup.offsite]", "the settings name no place")
            .next("set backup.offsite.repository and backup.offsite.password_file in /etc/authentik/install.toml")
            .exit(Exit::Usage)
    })
}

/// Copies what was just made, where the settings say so; that this fails is told, and changes nothing
/// about the backup.
pub(super) fn follow(
    world: &World<'_>,
    (settings, dir): (&Settings, &Path),
    id: &str,
    by_timer: bool,
) -> Exit {
    let Some(place) = Place::of(&settings.backup.offsite) else { return Exit::Done };
    world.told.emit(&Event::note(format!("copying it to {}", place.shown())));
    let sent = shelf::find(&world.host, dir, id)
        .and_then(|backup| offsite::send(&world.host, &place, &backup));
    let Err(failure) = sent else { return Exit::Done };
    if failure.exit_code().by_signal() {
        world.told.emit(&Event::warning(format!(
            "the backup is made, and not copied to {}",
            place.shown()
        )));
        return failure.exit_code();
    }
    tracing::warn!("{}", failure.summary());
    world.told.emit(&Event::warning(failure.to_string()));
    if by_timer {
        tell(world, settings, "the backup is made, but not copied to another machine", &failure);
    }
    Exit::Warned
}

pub(super) fn send(world: &World<'_>, args: &Send) -> Result<Exit> {
    let (settings, dir) = opened(world, &args.shelf)?;
    let place = place(&settings.backup.offsite)?;
    let backup = shelf::find(&world.host, &dir, &args.id)?;
    offsite::send(&world.host, &place, &backup)?;
    world.output.result(&format!("{} is copied to {}", backup.id, place.shown()));
    Ok(Exit::Done)
}

pub(super) fn fetch(world: &World<'_>, args: &Fetch) -> Result<Exit> {
    let given = args.repository.clone().map(|repository| Offsite {
        command: None,
        repository: Some(repository),
        password_file: args.password_file.clone(),
        environment_file: args.environment_file.clone(),
    });
    // A host that is to become the one that was lost has no settings yet.
    let (offsite, dir) = match given {
        None => opened(world, &args.shelf)
            .map(|(settings, dir)| (settings.backup.offsite.clone(), dir))?,
        Some(given) => {
            let dir = opened(world, &args.shelf).map(|(_, dir)| dir).ok();
            let dir = args.shelf.dir.clone().or(dir);
            (given, dir.unwrap_or_else(|| PathBuf::from(super::restore::SHELF)))
        }
    };
    let lock = lock(world, false, scheduled::BACKUP)?;
    let host = Writer::new(world.host.clone(), &lock);
    let (backup, _) = brought(world, &host, (&place(&offsite)?, &dir), &args.id)?;
    world.output.result(&format!(
        "{} is at {}\nnext: authentik-install restore {} --dry-run",
        backup.id,
        backup.path.display(),
        backup.id
    ));
    Ok(Exit::Done)
}

/// Brings one back, and tells whether it is new here.
///
/// # Errors
/// As [`offsite::fetch`].
pub(super) fn brought(
    world: &World<'_>,
    host: &Writer<'_>,
    (place, dir): (&Place<'_>, &Path),
    id: &str,
) -> Result<(Shelved, bool)> {
    world.told.emit(&Event::note(format!("fetching {id} from {}", place.shown())));
    offsite::fetch(host, place, dir, id)
}
