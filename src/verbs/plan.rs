//! `plan`: what would `install` do?

use crate::blueprint::Phase;
use crate::checks::{self, Report, Row, Subject};
use crate::cli;
use crate::engine::ledger::Ledger;
use crate::engine::plan::Plan;
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::settings::Settings;
use crate::ui::{human, json};
use crate::verbs::{self, World};
use std::ops::Range;
use std::path::Path;

/// Hours in which clocks change anywhere.
const MOVED: Range<i8> = 1..3;

/// Plans and prints.
///
/// # Errors
/// If the settings are wrong, the host is not fit, or something foreign is in the way.
pub fn run(world: &World<'_>, args: &cli::Plan) -> Result<Exit> {
    let mut settings = verbs::resolved(&world.host, &args.settings)?;
    settings.adopt = args.scope.adopt;
    let plan = make(world, &settings, &args.scope.chosen())?;
    let text = if args.json { json::pretty(&plan)? } else { human::plan(&plan, args.diff) };
    world.output.result(&text);
    plan.refuse_foreign()?;
    Ok(if args.exit_code && plan.changes > 0 { Exit::Pending } else { Exit::Done })
}

/// Looks at every resource, and checks the host wherever something would be done to it.
pub(super) fn make(world: &World<'_>, settings: &Settings, phases: &[Phase]) -> Result<Plan> {
    let release = &settings.release;
    if !release.supported {
        let text = format!("upstream does not mend authentik {} any more", release.line);
        world.told.emit(&Event::warning(text));
    }
    let host = &world.host;
    let ask = || checks::run(host, Subject::of(settings));
    // Where nothing is ours yet everything is to be done, so the checks need not wait for the plan.
    let bare = Ledger::read(host)?.is_empty();
    let (plan, early) = std::thread::scope(|scope| {
        let early = bare.then(|| scope.spawn(ask));
        let plan = Plan::make(host, settings, phases);
        (plan, early.and_then(|early| early.join().ok()))
    });
    let pending = plan.as_ref().is_ok_and(|plan| plan.changes > 0);
    if pending && settings.backup.enabled {
        tell_of_backups(world, settings);
    }
    if !plan.as_ref().is_ok_and(|plan| plan.changes == 0 && !plan.is_blocked()) {
        // What is missing altogether is told as a list, not as the first thing that was missed.
        refuse_unfit(&early.unwrap_or_else(ask)?, settings, phases)?;
    }
    plan
}

// What is allowed, and may not be meant.
fn tell_of_backups(world: &World<'_>, settings: &Settings) {
    if settings.backup.recipients.is_empty() {
        world.told.emit(&Event::note(
            "backups are not encrypted, and hold the secrets for root alone to read: [backup] recipients",
        ));
    }
    let schedule = settings.backup.schedule.as_str();
    if world
        .host
        .calendar_hours(schedule)
        .is_ok_and(|hours| hours.iter().any(|hour| MOVED.contains(hour)))
    {
        world.told.emit(&Event::warning(format!(
            "backups are made at {schedule}: where clocks change, an hour from 01:00 to 03:00 comes twice or not at all: [backup] schedule"
        )));
    }
}

/// Refuses a host on which what `install` does at the end of a restore would fail, but for lack of a
/// certificate that the restore brings.
///
/// # Errors
/// With [`Exit::Unfit`], and everything that is missing.
pub(super) fn refuse_unfit_host(
    world: &World<'_>,
    settings: &Settings,
    brings: &dyn Fn(&Path) -> bool,
) -> Result<()> {
    let mut subject = Subject::of(settings);
    subject.certificate.retain(|path| !brings(path));
    refuse_unfit(&checks::run(&world.host, subject)?, settings, &Phase::ALL)
}

// What a phase that is left out would need does not count.
fn refuse_unfit(report: &Report, settings: &Settings, phases: &[Phase]) -> Result<()> {
    let proxy = phases.contains(&Phase::Proxy) && settings.proxy.enabled;
    let of_proxy = ["caddy", "caddy-config", "certificate-files", "port-http", "port-https"];
    let left_out = |id: &str| !proxy && of_proxy.contains(&id);
    refuse_rows(report.checks.iter().filter(|row| row.blocks && !left_out(row.id)))
}

/// Refuses a host with all that these checks found, and the cure of the first.
///
/// # Errors
/// With [`Exit::Unfit`], unless there is none.
pub(super) fn refuse_rows<'r>(rows: impl Iterator<Item = &'r Row>) -> Result<()> {
    let bad: Vec<&Row> = rows.collect();
    let Some(first) = bad.first() else { return Ok(()) };
    let found: Vec<String> = bad.iter().map(|row| format!("{}: {}", row.id, row.found)).collect();
    let next = first.cure.as_deref().unwrap_or("authentik-install check");
    Err(Failure::new("checking", "this host", found.join("\n  "))
        .next(format!("{next}\nNothing was touched. All checks: authentik-install check"))
        .exit(Exit::Unfit))
}
