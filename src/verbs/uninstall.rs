//! `uninstall`: what was claimed goes again, the last thing first.

use crate::backup::check;
use crate::backup::shelf;
use crate::backup::swap::Journal;
use crate::blueprint::removal::{Reach, Removal};
use crate::cli::Uninstall;
use crate::engine::apply::{self, Done};
use crate::engine::ledger::Ledger;
use crate::engine::plan::Plan;
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::facts::{Fact, Facts};
use crate::host::lock::Lock;
use crate::host::postgres::START;
use crate::host::{Reader, Writer};
use crate::names::Domain;
use crate::resource::directory::Directory;
use crate::resource::settled;
use crate::settings::resolve::OneTime;
use crate::settings::{Input, Settings};
use crate::ui::human;
use crate::verbs::{self, World, install, undo};
use std::path::Path;
use std::time::Duration;

/// Takes it off.
///
/// # Errors
/// If there is nothing to take off, the domain is not confirmed, or something cannot be removed.
pub fn run(world: &World<'_>, args: &Uninstall) -> Result<Exit> {
    let host = &world.host;
    let settings = settings(host, &args.settings.config, args.delete_data.as_deref())?;
    let reach = match &args.delete_data {
        None => Reach::Service,
        Some(typed) => confirmed(host, args, typed, settings.domain.as_str())?,
    };
    let (removal, own) = removal(world, &settings, reach)?;
    if args.dry_run {
        let plan = planned(host, &settings, &removal)?;
        world.output.result(&human::plan(&plan, args.diff));
        return plan.refuse_foreign().map(|()| Exit::Done);
    }
    let lock = Lock::take("uninstall")?;
    undo::refuse_unsettled(host)?;
    let plan = planned(host, &settings, &removal)?;
    plan.refuse_foreign()?;
    if !args.yes {
        world.output.result(&human::plan(&plan, args.diff));
        if !install::asked(host, "Take authentik off this host?")? {
            return Ok(Exit::Done);
        }
        host.forget();
    }
    let writer = Writer::new(host.clone(), &lock);
    // One that does not answer is refused by the phase that needs it.
    if let (Reach::All, Ok(Some(server))) = (reach, host.postgres()) {
        Journal::sweep(&writer, &server)?;
        check::sweep(&writer, &server)?;
    }
    if removal.shared {
        let dir = settings.backup.dir.path();
        own.iter().try_for_each(|id| shelf::discard(&writer, dir, id))?;
        shelf::discard_partials(&writer, dir)?;
    }
    let mut done = Done::default();
    let build = |phase, facts: &Facts| removal.phase(phase, &settings, facts);
    apply::converge(&writer, (&settings, &Removal::phases()), &build, world.told, &mut done)
        .map_err(|failure| install::partial(failure, &done))?;
    if reach == Reach::All {
        Ledger::delete(&writer)?;
    }
    tracing::info!(changes = done.changes.len(), "uninstalled authentik");
    world.output.result(&ended(host, &settings, reach, done.changes.len())?);
    Ok(Exit::Done)
}

// What is to go; and the names of the backups of this installation, where others have some beside them.
fn removal(world: &World<'_>, settings: &Settings, reach: Reach) -> Result<(Removal, Vec<String>)> {
    let host = &world.host;
    let mut leftovers = Journal::laid_out(host)?;
    leftovers.push(check::SCRATCH.to_owned());
    let claims = Ledger::read(host)?.claims();
    let dir = settings.backup.dir.path();
    let (own, others) = match reach {
        Reach::All => shelf::own_and_others(host, dir, settings.domain.as_str())?,
        Reach::Service => Default::default(),
    };
    // A folder that was there before stays as it is.
    let shared = others > 0 && claims.contains(&Directory::id_of(dir));
    if shared {
        let text = format!(
            "of the backups in {} those of {} go ({}), and those of others stay ({others})",
            dir.display(),
            settings.domain,
            own.len(),
        );
        world.told.emit(&Event::note(text));
    }
    Ok((Removal { claims, reach, leftovers, shared }, own))
}

fn planned(host: &Reader, settings: &Settings, removal: &Removal) -> Result<Plan> {
    let facts = Facts::gather(host, settings)?;
    refuse_other_server(host, &facts)?;
    let build = |phase| removal.phase(phase, settings, &facts);
    let plan = Plan::of(host, (&Removal::phases(), false), &build)?;
    // What is known by its marks can go; of accounts, databases and folders nobody knows who has made them.
    let something = plan.changes > 0 || host.stat(&settings.paths.secrets)?.is_some();
    if removal.reach == Reach::All && removal.claims.is_empty() && something {
        let why = "what was made here is written down nowhere any more: the ledger is lost";
        return Err(Failure::new("deleting the data of", &settings.domain, why)
            .next("let it become ours again, and then uninstall: authentik-install install --adopt --yes\n\
                or leave the data: authentik-install uninstall\nNothing was touched.")
            .exit(Exit::Unfit));
    }
    Ok(plan)
}

// What is ours in a server that is down would be forgotten, not removed.
fn refuse_other_server(host: &Reader, facts: &Facts) -> Result<()> {
    let (Some(found), Fact::Absent) = (facts.postgres.known(), &facts.installed) else {
        return Ok(());
    };
    let other = settled::servers(host)?
        .into_iter()
        .find(|(dir, port)| (dir, *port) != (&found.socket_dir, found.port));
    let Some((dir, port)) = other else { return Ok(()) };
    let what = format!("the server at {}, port {port}", dir.display());
    Err(Failure::new("looking for authentik's database on", what, "it does not run")
        .next(format!("{START}; if it is gone for good: rm /etc/containers/systemd/users/*/authentik-*.container\nNothing was touched."))
        .exit(Exit::Unfit))
}

// Those of the installation; where they are lost, or were never written, those that every installation
// has, under the domain that was typed.
fn settings(host: &Reader, path: &Path, typed: Option<&str>) -> Result<Settings> {
    if host.read(path)?.is_some() {
        return verbs::stored(host, path);
    }
    let once = OneTime {
        settings_path: path.to_owned(),
        image_archive: None,
        admin_password: None,
        deadline: Duration::from_secs(60),
    };
    if typed == Some("") {
        let what = "an installation without its settings";
        return Err(Failure::new("deleting the data of", what, "its domain was not given")
            .next("authentik-install uninstall --delete-data=DOMAIN\nNothing was touched.")
            .exit(Exit::Usage));
    }
    let typed = typed.unwrap_or("uninstall.invalid");
    let domain: Domain = typed
        .parse()
        .map_err(|error| Failure::new("deleting the data of", typed, error).exit(Exit::Usage))?;
    let text = format!("domain = \"{domain}\"\nproxy.tls = \"internal\"\n");
    Settings::resolve(Input::default(), (Input::from_toml(&text, path)?, &text), once)
}

fn confirmed(host: &Reader, args: &Uninstall, typed: &str, domain: &str) -> Result<Reach> {
    let typed = match (typed, args.yes || args.dry_run) {
        ("", false) => install::answered(
            host,
            &format!(
                "Database, uploads, secrets and all backups are going to be deleted. Type {domain} to go on: "
            ),
        )?,
        ("", true) if args.dry_run => domain.to_owned(),
        (typed, _) => typed.to_owned(),
    };
    match typed == domain {
        true => Ok(Reach::All),
        false => Err(Failure::new("deleting the data of", domain, "that name was not given")
            .next(format!("--delete-data={domain}\nNothing was touched."))
            .exit(Exit::Usage)),
    }
}

// What is left is told by what is there, not by what was meant to stay.
fn ended(host: &Reader, settings: &Settings, reach: Reach, changes: usize) -> Result<String> {
    let paths = &settings.paths;
    let backups = settings.backup.dir.path().to_owned();
    let mut left: Vec<String> = Vec::new();
    let folders = [&paths.state, &paths.media, &paths.templates, &paths.certs, &paths.blueprints];
    let folders = folders.into_iter().chain(&paths.data).chain([&paths.etc, &backups]);
    for path in folders {
        // What lies in one that is named is left with it.
        let inner = left.iter().any(|outer| path.starts_with(outer));
        if host.stat(path)?.is_some() && !inner {
            left.push(path.display().to_string());
        }
    }
    if host.account(settings.user.as_str())?.is_some() {
        left.push(format!("the user {}", settings.user));
    }
    let database = settings.database.name.as_str();
    let sql = format!("SELECT to_json(count(*) > 0) FROM pg_database WHERE datname = '{database}'");
    if let Ok(Some(server)) = host.postgres()
        && host.query(&server, "postgres", &sql)? == Some(true)
    {
        left.push(format!("the database {database}"));
    }
    let mut text = format!("authentik is off this host ({changes} changes).");
    if !left.is_empty() {
        text.push_str(&format!("\nLeft: {}", left.join(", ")));
        text.push_str(match reach {
            Reach::Service => {
                "\nauthentik-install install brings it back as it was; \
                 authentik-install uninstall --delete-data deletes these, too."
            }
            Reach::All => "\nThese were there before, or hold what others have put there.",
        });
    }
    Ok(text)
}
