//! `admin`: ways in for the administrator.

use crate::cli::Link;
use crate::data::release::LifeUnit;
use crate::error::{Exit, Failure, Result};
use crate::host::Writer;
use crate::host::lock::Lock;
use crate::resource::admin::ADMIN;
use crate::settings::Settings;
use crate::verbs::{World, stored};

const WORKER: &str = "authentik-worker";
// Where the line knows years alone it is good for one; it is still good once only.
fn life(unit: LifeUnit) -> &'static str {
    match unit {
        LifeUnit::Minutes => "60",
        LifeUnit::Years => "1",
    }
}

/// `admin link`: prints a link that is good once.
///
/// # Errors
/// If authentik is not installed or does not run.
pub fn print_link(world: &World<'_>, args: &Link) -> Result<Exit> {
    let settings = stored(&world.host, &args.config)?;
    let lock = Lock::take()?;
    let link = link(&Writer::new(world.host.clone(), &lock), &settings)?;
    world.output.result(&link);
    Ok(Exit::Done)
}

/// Makes a link, good once and for an hour, that signs in as the first administrator.
///
/// # Errors
/// If the worker does not run or prints no link.
pub fn link(host: &Writer<'_>, settings: &Settings) -> Result<String> {
    let account = host.account(settings.user.as_str())?.ok_or_else(|| {
        Failure::new("making a recovery link for", ADMIN, "authentik is not installed here")
            .next("authentik-install install")
    })?;
    let printed = host.exec(
        &account,
        WORKER,
        &["ak", "create_recovery_key", life(settings.release.recovery_key_unit), ADMIN],
    )?;
    let path = printed
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.starts_with("/recovery/"))
        .ok_or_else(|| {
            Failure::new("making a recovery link for", ADMIN, "authentik printed none")
                .next(format!("journalctl _UID={} CONTAINER_NAME={WORKER}", account.uid))
        })?;
    Ok(format!("https://{}{path}", settings.domain))
}
