//! `verify` as the timer runs it: who is told, and when nobody is.

use crate::error::Result;
use crate::event::Event;
use crate::health::{Report, watch};
use crate::host::files;
use crate::host::lock::Lock;
use crate::host::systemd::Manager;
use crate::resource::workload::SERVICES;
use crate::settings::Settings;
use crate::ui::{json, verify};
use crate::verbs::{World, account};

/// The journal's number of every result: `journalctl MESSAGE_ID=…`.
const MESSAGE_ID: &str = "fd99aa465bc949adb4433dc2ee0398b7";

/// The verb of a lock under which nothing changes that `verify` looks at.
pub(super) const BACKUP: &str = "backup";

/// While somebody changes the installation it is neither well nor ill. A backup changes nothing.
pub(super) fn is_being_changed(world: &World<'_>) -> bool {
    let held = Lock::held_by().is_some_and(|verb| verb != BACKUP);
    if held {
        world.told.emit(&Event::note("Not looked at: another run is changing the installation."));
    }
    held
}

/// Tells the journal, the Prometheus file, and, if the state has changed, `[notify]`.
///
/// # Errors
/// If what was seen cannot be remembered. That somebody cannot be told is a warning.
pub(super) fn tell(world: &World<'_>, settings: &Settings, report: &Report) -> Result<()> {
    to_journal(report);
    if let Some(path) = &settings.verify.prometheus_file {
        let text = verify::prometheus(report);
        warn(world, files::publish(&world.host, path.path(), text.as_bytes(), 0o644));
    }
    if !report.healthy && is_starting(world, settings) {
        world.told.emit(&Event::note("authentik is still starting: nobody is told."));
        return Ok(());
    }
    watch::remember(&world.host, report, |change| Ok(notify(world, settings, &json::line(change)?)))
}

/// Tells everybody that `[notify]` names. That one cannot be told is a warning; that none could be is
/// `false`.
pub(super) fn notify(world: &World<'_>, settings: &Settings, document: &str) -> bool {
    let notify = &settings.notify;
    let by_program =
        notify.command.as_ref().map(|program| world.host.hand_to(program.path(), document));
    let by_web = notify.webhook_file.as_ref().map(|file| world.host.post_to(file.path(), document));
    let ended: Vec<bool> =
        [by_program, by_web].into_iter().flatten().map(|ended| warn(world, ended)).collect();
    ended.is_empty() || ended.contains(&true)
}

fn warn(world: &World<'_>, ended: Result<()>) -> bool {
    let Err(failure) = ended else { return true };
    tracing::warn!("{}", failure.summary());
    world.told.emit(&Event::warning(failure.to_string()));
    false
}

fn to_journal(report: &Report) {
    let failed: Vec<&str> = report.bad().map(|row| row.id.as_str()).collect();
    let failed = failed.join(" ");
    let (checks, took_ms) = (report.checks.len(), u64::try_from(report.took_ms).unwrap_or(0));
    macro_rules! tell {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                message_id = MESSAGE_ID,
                authentik_domain = %report.domain,
                authentik_version = %report.authentik,
                authentik_healthy = report.healthy,
                authentik_failed = %failed,
                authentik_checks = checks,
                authentik_took_ms = took_ms,
                $text
            )
        };
    }
    match report.healthy {
        true => tell!(info, "authentik is healthy"),
        false => tell!(error, "authentik is not healthy"),
    }
}

// The first start takes its time; one that fails and is begun again does not count.
fn is_starting(world: &World<'_>, settings: &Settings) -> bool {
    let look = || -> Result<bool> {
        let account = account(&world.host, settings)?;
        let units = world.host.units(Manager::User(&account), &SERVICES)?;
        Ok(units.values().any(|unit| unit.active == "activating" && unit.restarts == 0))
    };
    look().unwrap_or(false)
}
