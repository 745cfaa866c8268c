//! `install`: plan, ask, apply, and say how to get in.

use crate::backup::swap::Journal;
use crate::blueprint::Phase;
use crate::cli::Install;
use crate::engine::apply::{self, Done};
use crate::engine::plan::Plan;
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::lock::Lock;
use crate::host::{Reader, Writer};
use crate::resource::admin::ADMIN;
use crate::resource::settings_file::SettingsFile;
use crate::resource::{Id, Resource, Seen, Standing, Verdict};
use crate::settings::Settings;
use crate::ui::{human, json};
use crate::verbs::packages::Missing;
use crate::verbs::{self, World, admin, plan};
use std::io::{IsTerminal, Write};

/// Installs, or brings back to what the settings say.
///
/// # Errors
/// If anything is wrong before (nothing was touched) or at the first change that cannot be made.
pub fn run(world: &World<'_>, args: &Install) -> Result<Exit> {
    let mut settings = verbs::resolved(&world.host, &args.settings)?;
    settings.adopt = args.scope.adopt;
    let phases = args.scope.chosen();
    let asks = !args.yes && !args.dry_run;
    if asks {
        refuse_without_terminal()?;
    }
    let missing = match args.install_packages {
        true => Missing::look(world, &settings)?,
        false => None,
    };
    if let (true, Some(missing)) = (args.dry_run, &missing) {
        world
            .output
            .result(&format!("{}\nThe rest can be planned once that is done.", missing.line()));
        return Ok(Exit::Done);
    }
    if args.dry_run {
        let plan = plan::make(world, &settings, &phases)?;
        refuse_unwritten(&world.host, &settings, &phases)?;
        let text = if args.json { json::pretty(&plan)? } else { human::plan(&plan, args.diff) };
        world.output.result(&text);
        return plan.refuse_foreign().map(|()| Exit::Done);
    }
    let lock = Lock::take("install")?;
    Journal::refuse_half_way(&world.host)?;
    if let Some(missing) = missing {
        let question = format!("{}\nInstall these packages?", missing.line());
        if asks && !asked(&world.host, &question)? {
            return Ok(Exit::Done);
        }
        missing.install(world, &Writer::new(world.host.clone(), &lock), &settings)?;
    }
    let plan = plan::make(world, &settings, &phases)?;
    plan.refuse_foreign()?;
    refuse_unwritten(&world.host, &settings, &phases)?;
    if asks && plan.changes > 0 && !ask(world, &plan, args.diff)? {
        return Ok(Exit::Done);
    }
    if asks {
        // The answer took its time.
        world.host.forget();
    }
    let host = Writer::new(world.host.clone(), &lock);
    Journal::no_longer_empty(&host)?;
    let mut done = Done::default();
    let ended = apply::apply(&host, &settings, &phases, world.told, &mut done);
    ended.map_err(|failure| partial(failure, &done))?;
    report(world, &host, (&settings, &phases), &done, args.json)?;
    Ok(Exit::Done)
}

// What a run follows and does not write down is forgotten by the next one.
fn refuse_unwritten(host: &Reader, settings: &Settings, phases: &[Phase]) -> Result<()> {
    let path = settings.paths.settings.clone();
    let file = SettingsFile { path: path.clone(), choices: settings.choices() };
    let written = match file.inspect(host)? {
        Seen::Now(found) => matches!(file.diff(&found, &Standing::Unclaimed), Verdict::Converged),
        Seen::After(_) => false,
    };
    if written || phases.contains(&Phase::Accounts) {
        return Ok(());
    }
    let why = "without the phase 'accounts' what is given here would not be written into it";
    Err(Failure::new("following other settings than those of", path.display(), why)
        .next(format!(
            "write it into {} first, or add the phase: --only accounts,…",
            path.display()
        ))
        .exit(Exit::Usage))
}

fn ask(world: &World<'_>, plan: &Plan, diff: bool) -> Result<bool> {
    world.output.result(&human::plan(plan, diff));
    let yes = asked(&world.host, "Go ahead?")?;
    if !yes {
        world.told.emit(&Event::note("Nothing was touched."));
    }
    Ok(yes)
}

/// Asks on the terminal.
///
/// # Errors
/// With [`Exit::Usage`] if there is none.
pub(super) fn asked(host: &Reader, question: &str) -> Result<bool> {
    let answer = answered(host, &format!("{question} [y/N] "))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// What is typed on the terminal.
///
/// # Errors
/// With [`Exit::Usage`] if there is none, or as the signal that came instead of an answer.
pub(super) fn answered(host: &Reader, question: &str) -> Result<String> {
    refuse_without_terminal()?;
    let failed = |error| Failure::new("asking", "whether to go ahead", error).exit(Exit::Usage);
    let mut err = std::io::stderr();
    write!(err, "{question}").and_then(|()| err.flush()).map_err(failed)?;
    host.line_of_person()?.map_err(failed)
}

fn refuse_without_terminal() -> Result<()> {
    match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        true => Ok(()),
        false => {
            let why = "there is no terminal to ask on";
            Err(Failure::new("asking", "whether to go ahead", why)
                .next("give --yes, or look first: --dry-run")
                .exit(Exit::Usage))
        }
    }
}

// Says how far it came: the same command goes on from there.
pub(super) fn partial(failure: Failure, done: &Done) -> Failure {
    let made = match done.changes.len() {
        0 => "No change was made.".to_owned(),
        1 => "1 change was made and stays.".to_owned(),
        many => format!("{many} changes were made and stay."),
    };
    let next = failure.next_step().map(str::to_owned).unwrap_or_default();
    let again = match failure.exit_code().by_signal() {
        true => "",
        false => "Then run the same command again: it goes on from here.",
    };
    failure.next(format!("{next}\n{made} {again}").trim().to_owned())
}

fn report(
    world: &World<'_>,
    host: &Writer<'_>,
    (settings, phases): (&Settings, &[Phase]),
    done: &Done,
    as_json: bool,
) -> Result<()> {
    let url = settings.url();
    let first_start = done.changed(&Id::new("login", ADMIN));
    if as_json {
        world.output.result(&json::line(&json::Installed {
            event: "installed",
            changes: done.changes.len(),
            url: &url,
            version: settings.version.as_str(),
        })?);
        return Ok(());
    }
    // A link to a site that is not opened yet would lead nowhere.
    let random = first_start && settings.admin_password.is_none();
    let link = match random && phases.contains(&Phase::Proxy) {
        true => Some(admin::link(host, settings)?),
        false => None,
    };
    world.output.result(&human::installed(settings, done.changes.len(), link.as_deref()));
    Ok(())
}
