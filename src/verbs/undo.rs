//! What comes after a restore: it is kept, or undone.

use crate::backup::swap::Journal;
use crate::blueprint::Phase;
use crate::cli::Commit;
use crate::engine::apply::{self, Done};
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::accounts::Account;
use crate::host::lock::Lock;
use crate::host::outside::Outside;
use crate::host::postgres::Server;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::workload::{SERVICES, STOP};
use crate::resource::workload_gone::WorkloadGone;
use crate::resource::{Resource, Seen};
use crate::settings::Settings;
use crate::verbs::{self, World, account};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::time::Duration;

pub(super) fn server(host: &Reader) -> Result<Server> {
    host.postgres()?.ok_or_else(|| {
        Failure::new("looking for", "PostgreSQL", "it is not installed")
            .next("authentik-install check")
            .exit(Exit::Unfit)
    })
}

pub(super) fn converge(world: &World<'_>, host: &Writer<'_>, settings: &Settings) -> Result<()> {
    let mut done = Done::default();
    apply::apply(host, settings, &Phase::ALL, world.told, &mut done)
}

/// Brings an installation that was stopped between two halves back to the one that it was, and ends a
/// commit that was begun.
///
/// # Errors
/// If that fails, or a restore is neither committed nor undone.
pub(super) fn settle(
    world: &World<'_>,
    host: &Writer<'_>,
    server: &Server,
    config: &Path,
) -> Result<()> {
    if let Some(journal) = Journal::half_way(host)? {
        let text = format!("the restore of {} was stopped half-way: going back", journal.backup);
        world.told.emit(&Event::note(text));
        undo(world, host, (server, &journal), config)?;
    }
    match Journal::uncommitted(host)?.filter(|journal| journal.committing) {
        Some(journal) => journal.commit(host, server),
        None => refuse_unsettled(host),
    }
}

/// Refuses to restore over a restore that is not settled yet.
///
/// # Errors
/// With [`Exit::Unfit`] if there is one.
pub(super) fn refuse_unsettled(host: &Reader) -> Result<()> {
    Journal::refuse_half_way(host)?;
    match Journal::uncommitted(host)? {
        None => Ok(()),
        Some(journal) => Err(Failure::new(
            "restoring",
            "a backup",
            format!("what was there before {} was restored is still kept", journal.backup),
        )
        .next("authentik-install restore commit, or to go back: authentik-install restore --abort")
        .exit(Exit::Unfit)),
    }
}

/// Stops authentik, if anything of it runs.
///
/// # Errors
/// If it does not stop.
pub(super) fn stop(host: &Writer<'_>, account: &Account) -> Result<()> {
    match (WorkloadGone { account: account.clone() }).inspect(host)? {
        Seen::Now(true) => host.unit_job(Manager::User(account), "stop", &SERVICES, STOP),
        _ => Ok(()),
    }
}

/// Goes back to what was there before. Whoever asks to stop meanwhile waits: half of it is no place to
/// stop at.
///
/// # Errors
/// If a step fails. As long as a journal is there, it can be begun again.
pub(super) fn undo(
    world: &World<'_>,
    host: &Writer<'_>,
    (server, journal): (&Server, &Journal),
    config: &Path,
) -> Result<()> {
    let host = host.undisturbed();
    // The service user is the same in both states.
    let settings = verbs::stored(&host, config)
        .or_else(|_| verbs::stored(&host, &journal.settings_elsewhere(config)))?;
    let account = account(&host, &settings)?;
    stop(&host, &account)?;
    journal.back(&host, server)?;
    host.forget();
    let empty = Journal::was_empty(&host)?;
    verbs::stored(&host, config)
        .map(|settings| if empty { settings.at_rest() } else { settings })
        .and_then(|settings| converge(world, &host, &settings))
        .map_err(|failure| failure.next("what was there before is back: authentik-install install"))
}

/// `restore --abort`
///
/// # Errors
/// With [`Exit::Nothing`] if there is nothing to go back to.
pub(super) fn abort(world: &World<'_>, config: &Path) -> Result<Exit> {
    let lock = Lock::take("restore")?;
    let host = Writer::new(world.host.clone(), &lock);
    let server = server(&host)?;
    let journal = match Journal::half_way(&host)? {
        Some(journal) => Some(journal),
        None => Journal::uncommitted(&host)?,
    };
    let refused = |why: &str, next: &str| {
        let failure = Failure::new("going back", "before a restore", why);
        Err(failure.next(next.to_owned()).exit(Exit::Nothing))
    };
    match journal {
        None => {
            // One that was killed while it was laid out has changed nothing yet.
            Journal::sweep(&host, &server)?;
            refused("none was made, or it is committed", "authentik-install backup list")
        }
        Some(journal) if journal.committing => {
            let why = "what was there before is being thrown away already";
            refused(why, "authentik-install restore commit")
        }
        Some(journal) => {
            undo(world, &host, (&server, &journal), config)?;
            tracing::info!(backup = journal.backup, "undid a restore");
            let text = format!("It is as it was before {} was restored.", journal.backup);
            world.output.result(&text);
            Ok(Exit::Done)
        }
    }
}

/// `restore commit`
///
/// # Errors
/// With [`Exit::Nothing`] if there is none to commit.
pub(super) fn commit(world: &World<'_>, args: &Commit) -> Result<Exit> {
    let lock = Lock::take("restore")?;
    let host = Writer::new(world.host.clone(), &lock);
    let settings = verbs::installed(&host, &args.config.config)?;
    Journal::refuse_half_way(&host)?;
    let journal = Journal::uncommitted(&host)?.ok_or_else(|| {
        Failure::new("committing", "a restore", "there is none to commit").exit(Exit::Nothing)
    })?;
    let backup = journal.backup.clone();
    // Killed before it was seen to run. The old is not thrown away for something that does not.
    let journal = match journal.runs || journal.committing {
        true => journal,
        false => {
            converge(world, &host, &settings)?;
            journal.came_to_run(&host)?
        }
    };
    journal.commit(&host, &server(&host)?)?;
    tracing::info!(backup, "committed a restore");
    world.output.result(&format!("{backup} stays; what was there before is gone."));
    Ok(Exit::Done)
}

/// Commits a restore that has run for as many days as the settings say, as somebody would who has forgotten
/// it. What cannot be done now is done another night.
pub(super) fn expire(world: &World<'_>, settings: &Settings) {
    if let Err(failure) = expired(world, settings) {
        world.told.emit(&Event::warning(failure.to_string()));
    }
}

fn expired(world: &World<'_>, settings: &Settings) -> Result<()> {
    let host = &world.host;
    let Some(journal) = Journal::uncommitted(host)?.filter(|journal| journal.runs) else {
        return Ok(());
    };
    let kept = SignedDuration::from_hours(24 * i64::from(settings.backup.keep_replaced));
    if kept.is_zero() || Timestamp::now().duration_since(journal.time) < kept {
        return Ok(());
    }
    let text = format!(
        "{} was restored {} days ago: what was there before goes",
        journal.backup, settings.backup.keep_replaced
    );
    world.told.emit(&Event::note(text));
    let program = std::env::current_exe()
        .map_err(|error| Failure::new("looking for", "this program", error))?;
    let config = settings.paths.settings.to_string_lossy();
    // The sandbox of the timer's unit may not write there.
    let outside = Outside {
        program,
        args: vec!["restore", "commit", "--config", &config],
        limit: Duration::from_secs(3600),
        interruptible: true,
        ..Outside::default()
    };
    host.run_outside(("committing", "a restore that is old"), &outside).map(drop)
}
