//! `restore`: on the host that the backup is of, or on an empty one.
//!
//! Everything is looked at before anything is touched. Then the backup is laid out beside what runs,
//! and takes its place at one moment; what was there stays until `restore commit`.

use crate::backup::chosen::{Chosen, Identities};
use crate::backup::offsite::Place;
use crate::backup::owner::Maps;
use crate::backup::restore::{self, What};
use crate::backup::settings::INSTALL_TOML;
use crate::backup::shelf::{self, Shelved};
use crate::backup::swap::Journal;
use crate::backup::{create, manifest, source};
use crate::blueprint::Phase;
use crate::cli::{Restore, RestoreVerb};
use crate::engine::apply::{self, Done};
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::lock::Lock;
use crate::host::postgres::Server;
use crate::host::store::open_trusted;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::names::Domain;
use crate::resource::file::kept;
use crate::resource::workload::SERVICES;
use crate::settings::Settings;
use crate::verbs::{self, World, account, admin, backup, offsite, plan, secrets, undo};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) const SHELF: &str = "/var/backups/authentik";

/// Restores, or does what was asked for with a restore that was made.
///
/// # Errors
/// Before anything is touched, if the backup, the host or the settings are not fit. Later the old
/// state is brought back before the failure is told.
pub fn run(world: &World<'_>, args: &Restore) -> Result<Exit> {
    match (&args.verb, &args.from) {
        (Some(RestoreVerb::Commit(args)), _) => undo::commit(world, args),
        (None, Some(from)) => whole(world, args, from),
        (None, None) => undo::abort(world, &args.settings.config),
    }
}

fn whole(world: &World<'_>, args: &Restore, from: &str) -> Result<Exit> {
    let lock = Lock::take("restore")?;
    let writer = Writer::new(world.host.clone(), &lock);
    let server = undo::server(&writer)?;
    match args.dry_run {
        true => undo::refuse_unsettled(&writer)?,
        false => undo::settle(world, &writer, &server, &args.settings.config)?,
    }
    let (backup, imported) = found(world, &writer, args, from)?;
    let ended = chosen(world, args, (&writer, &server), &backup);
    if imported && !matches!(ended, Ok(Some(_))) {
        writer.remove_tree(&backup.path)?;
    }
    if let Some(settings) = ended? {
        tracing::info!(backup = backup.id, "restored a backup");
        let left = left_behind(world, &writer, &backup.readable()?.domain, &settings);
        world.output.result(&format!(
            "{} is restored: {}\nWhat was there before is kept. When all is well: authentik-install restore commit\n\
             To go back to it: authentik-install restore --abort\n{left}",
            backup.id,
            settings.url(),
        ));
    }
    Ok(Exit::Done)
}

// The settings of what runs then; `None` if it was only looked at.
fn chosen(
    world: &World<'_>,
    args: &Restore,
    (writer, server): (&Writer<'_>, &Server),
    backup: &Shelved,
) -> Result<Option<Settings>> {
    let host: &Reader = writer;
    let manifest = backup.readable()?;
    let identities: Identities = backup::identities(host, &args.identity)?;
    let chosen = Chosen { backup, manifest, identities: &identities };
    chosen.refuse_unfit(host, server)?;
    let mut wanted: BTreeSet<What> = match args.only.as_slice() {
        [] => BTreeSet::from([What::Database, What::Data, What::Config]),
        only => only.iter().copied().collect(),
    };
    let installed = is_installed(host, args)?;
    let settings = settings(host, args, &chosen, wanted.contains(&What::Config) || !installed)?;
    chosen.refuse_version(&settings)?;
    if installed {
        refuse_other_database(&verbs::stored(host, &args.settings.config)?, &settings)?;
    }
    tell(world, &chosen, &wanted, installed);
    if wanted.contains(&What::Data) {
        for path in chosen.lacks(&settings) {
            let text = format!("the backup holds no {}: what is there now stays", path.display());
            world.told.emit(&Event::warning(text));
        }
    }
    if !installed {
        // Whatever settings were, those that are written now are the backup's.
        wanted.remove(&What::Config);
    }
    let journal = chosen.planned(host, &settings, &wanted)?;
    journal.refuse_taken(host, server)?;
    chosen.refuse_narrow(host, server, &journal)?;
    plan::refuse_unfit_host(world, &settings, &|path| installed || chosen.brings(path, &settings))?;
    if args.dry_run || (!args.yes && !confirmed(world)?) {
        return Ok(None);
    }
    let job = Job { world, host: writer, args, settings: &settings, server };
    match installed {
        true => job.over(&chosen, journal)?,
        false => job.onto_nothing(&chosen, journal)?,
    }
    Ok(Some(settings))
}

// Takes to a new name what can be taken along, and says what cannot.
fn left_behind(world: &World<'_>, host: &Writer<'_>, before: &str, settings: &Settings) -> String {
    if before == settings.domain.as_str() {
        return String::new();
    }
    let moved = before
        .parse::<Domain>()
        .map_err(|why| Failure::new("reading the domain", before, why))
        .and_then(|before| admin::move_brands(host, settings, &before));
    let brands = match moved {
        Ok(count) => {
            world.told.emit(&Event::note(format!("brands of {before}, now of this name: {count}")));
            ""
        }
        Err(failure) => {
            world.told.emit(&Event::warning(failure.to_string()));
            ", the domain of brands"
        }
    };
    format!(
        "The name was {before}. These stay with it, and have to be made anew or corrected in the admin \
         interface: passkeys and security keys (WebAuthn is bound to the name), redirect URIs and \
         launch URLs of applications, issuer URLs that applications have stored{brands}, \
         authentik_host of outposts."
    )
}

fn is_installed(host: &Reader, args: &Restore) -> Result<bool> {
    let state = host.stat(Path::new("/var/lib/authentik-install/ledger.json"))?;
    let settings = host.read(&args.settings.config)?;
    Ok(state.is_some() && settings.is_some() && !Journal::was_empty(host)?)
}

// What does not lie in a folder of root's alone is put into the folder of backups first, and stays there if it
// is restored.
fn found(
    world: &World<'_>,
    host: &Writer<'_>,
    args: &Restore,
    from: &str,
) -> Result<(Shelved, bool)> {
    let stored = verbs::stored(host, &args.settings.config).ok();
    let backup = stored.as_ref().map(|settings| &settings.backup);
    let dir = args.dir.clone().unwrap_or_else(|| {
        backup.map_or_else(|| SHELF.into(), |backup| backup.dir.path().to_owned())
    });
    if !dir.is_absolute() {
        return Err(Failure::new("looking for backups in", dir.display(), "it is not absolute")
            .next("give an absolute path: --dir /mnt/backups")
            .exit(Exit::Usage));
    }
    // What happens to lie where one stands is not meant by the name of a backup.
    let path = Path::new(from);
    if shelf::is_name(from) || !path.exists() {
        let offsite = backup.and_then(|backup| Place::of(&backup.offsite));
        return match (shelf::find(host, &dir, from), offsite) {
            (Err(failure), Some(place)) if failure.exit_code() == Exit::Nothing => {
                offsite::brought(world, host, (&place, &dir), from)
            }
            (found, _) => found.map(|found| (found, false)),
        };
    }
    let path = std::path::absolute(path)
        .map_err(|error| Failure::new("looking for", path.display(), error))?;
    // A folder that root alone can change is a backup as it lies there.
    if path.is_dir() && open_trusted(&path.join(manifest::NAME)).is_ok() {
        return shelf::find(host, &dir, &path.to_string_lossy()).map(|found| (found, false));
    }
    world.told.emit(&Event::note(format!("reading {from} into {}", dir.display())));
    crate::backup::export::import(host, &path, &dir)
}

// Those of the backup with what was given over them; or those that are here.
fn settings(
    host: &Reader,
    args: &Restore,
    chosen: &Chosen<'_>,
    of_backup: bool,
) -> Result<Settings> {
    if !of_backup {
        return verbs::resolved(host, &args.settings);
    }
    let files = chosen.config()?;
    let text = files.get(INSTALL_TOML).ok_or_else(|| {
        Failure::new("restoring", &chosen.backup.id, "it holds no install.toml").exit(Exit::Damaged)
    })?;
    let mut settings = verbs::resolved_over(host, &args.settings, text.expose())?;
    let given = |name: &str| {
        let file = files.get(&format!("secrets/{name}"));
        file.map(|text| crate::secret::Secret::from_file_bytes(text.expose().as_bytes()))
            .transpose()
            .map_err(|why| secrets::refused(&PathBuf::from(name), why))
    };
    settings.given.secret_key = given("secret_key")?;
    settings.given.database_password = given("database_password")?;
    settings.given.cache_password = given("cache_password")?;
    settings.given.smtp_password = given("smtp_password")?;
    Ok(settings)
}

fn refuse_other_database(here: &Settings, wanted: &Settings) -> Result<()> {
    let same = here.database.name == wanted.database.name
        && here.user == wanted.user
        && here.database.user == wanted.database.user
        && source::places(here) == source::places(wanted);
    match same {
        true => Ok(()),
        false => Err(Failure::new(
            "restoring",
            "over this installation",
            "the backup has another user, database or folders than this installation",
        )
        .next("restore database and data alone: --only database,data\nNothing was touched.")
        .exit(Exit::Unfit)),
    }
}

fn tell(world: &World<'_>, chosen: &Chosen<'_>, wanted: &BTreeSet<What>, installed: bool) {
    let manifest = chosen.manifest;
    let what: Vec<String> = wanted.iter().map(|what| format!("{what:?}").to_lowercase()).collect();
    let over = match installed {
        true => {
            "the installation that is here, which is backed up before and kept until it is committed"
        }
        false => "this host, on which nothing is installed",
    };
    world.output.result(&format!(
        "{}: {} of authentik {}, made at {:.0} on {}, onto {over}",
        chosen.backup.id,
        what.join(", "),
        manifest.authentik.version,
        manifest.time,
        manifest.host
    ));
}

fn confirmed(world: &World<'_>) -> Result<bool> {
    let yes = super::install::asked(&world.host, "restore it?")?;
    if !yes {
        world.told.emit(&Event::note("Nothing was touched."));
    }
    Ok(yes)
}

struct Job<'j> {
    world: &'j World<'j>,
    host: &'j Writer<'j>,
    args: &'j Restore,
    settings: &'j Settings,
    server: &'j Server,
}

impl Job<'_> {
    // The host becomes one on which authentik is installed and has never run; then as over any other.
    fn onto_nothing(&self, chosen: &Chosen<'_>, journal: Journal) -> Result<()> {
        Journal::note_empty(self.host)?;
        let files = chosen.config()?;
        if let Some(text) = files.get(INSTALL_TOML) {
            self.put_settings(text.expose())?;
        }
        self.laid_out(self.settings)?;
        let account = account(self.host, self.settings)?;
        let maps = source::maps(self.host, &account, self.settings.user_namespace)?;
        let warnings = chosen.complete_settings(self.host, self.settings, &maps)?;
        warnings.into_iter().for_each(|text| self.world.told.emit(&Event::warning(text)));
        self.swap(chosen, journal)
    }

    fn laid_out(&self, settings: &Settings) -> Result<()> {
        let settings = settings.clone().at_rest();
        let phases = [Phase::Accounts, Phase::Database, Phase::Cache, Phase::Containers];
        apply::apply(self.host, &settings, &phases, self.world.told, &mut Done::default())
    }

    fn put_settings(&self, text: &str) -> Result<()> {
        use crate::host::files::{Perms, Put};
        let path = &self.args.settings.config;
        let dir = path.parent().unwrap_or(Path::new("/etc/authentik"));
        if self.host.stat(dir)?.is_none() {
            self.host.create_dir(dir, Perms::root(0o755))?;
        }
        let other = self.host.read(path)?.filter(|file| file.bytes != text.as_bytes());
        let kept = kept(path);
        if let (Some(file), None) = (other, self.host.stat(&kept)?) {
            self.host.put(&kept, &file.bytes, file.meta.perms, Put::New)?;
            let text = format!("{} of this host is kept as {}", path.display(), kept.display());
            self.world.told.emit(&Event::note(text));
        }
        self.host.put(path, text.as_bytes(), Perms::root(0o644), Put::Replace)
    }

    fn over(&self, chosen: &Chosen<'_>, journal: Journal) -> Result<()> {
        let safety = match self.args.no_safety_backup {
            true => None,
            false => Some(self.safety()?),
        };
        // Only what is there can be exchanged; and what cannot be had is found out before it is.
        let account = self.host.account(self.settings.user.as_str())?;
        let runs = account.is_some_and(|account| self.host.manager_runs(&account));
        if !runs || journal.lacks_some(self.host, self.server)? {
            // As it is here, but for the image: what is here is what `--abort` leads back to.
            let here = verbs::stored(self.host, &self.args.settings.config)?;
            self.laid_out(&here.with_image_of(self.settings))?;
        }
        self.swap(chosen, Journal { safety, ..journal })
    }

    fn safety(&self) -> Result<String> {
        let here = verbs::stored(self.host, &self.args.settings.config)?;
        let options = create::Options {
            dir: self.args.dir.clone().unwrap_or_else(|| here.backup.dir.path().to_owned()),
            quiesce: false,
            tag: Some(create::SAFETY.into()),
            recipients: here.backup.recipients.clone(),
        };
        self.world.told.emit(&Event::note("backing up what is here now"));
        let made =
            create::create(self.host, &here, &options, self.world.told).map_err(|failure| {
                if failure.exit_code().by_signal() {
                    return failure;
                }
                let next = failure.next_step().unwrap_or_default();
                let next = format!("{next}\nif what is here is beyond saving: --no-safety-backup");
                failure.next(next.trim_start().to_owned())
            })?;
        Ok(made.id)
    }

    fn swap(&self, chosen: &Chosen<'_>, journal: Journal) -> Result<()> {
        let Job { world, host, settings, server, .. } = self;
        let account = account(host, settings)?;
        let maps: Maps = source::maps(host, &account, settings.user_namespace)?;
        let journal = chosen.lay_out(host, (settings, server, &maps), journal, world.told)?;
        if let Err(stop) = host.check_interrupt() {
            return Err(stop.tidied(Journal::sweep(&host.undisturbed(), server)));
        }
        let text = "stopping authentik, and exchanging the old for the restored";
        world.told.emit(&Event::note(text));
        let stopped = journal.announce(host).and_then(|()| undo::stop(host, &account));
        if let Err(failure) = stopped {
            // Nothing is exchanged yet: what was there goes on.
            let host = host.undisturbed();
            let back = journal.back(&host, server);
            let started = host.queue_job(Manager::User(&account), "start", &SERVICES);
            return Err(failure.tidied(back).tidied(started));
        }
        // The one that this installation has, not the one of which the backup speaks. A cache that stays
        // full is no reason to stay down.
        if settings.release.cache()
            && let Err(failure) = restore::empty_cache(host, settings)
        {
            world.told.emit(&Event::warning(failure.to_string()));
        }
        let ended = journal.forth(host, server).and_then(|()| {
            host.forget();
            // What the flags say goes into the restored settings; the rest is found to be so.
            let settings = verbs::resolved(host, &self.args.settings)?;
            undo::converge(world, host, &settings)
        });
        let ended = ended.and_then(|()| journal.clone().came_to_run(host).map(drop));
        ended.map_err(|failure| {
            world.told.emit(&Event::warning(format!("going back: {}", failure.summary())));
            match undo::undo(world, host, (server, &journal), &self.args.settings.config) {
                Ok(()) => failure.next("It is as it was before. authentik-install verify"),
                Err(other) => failure.next(format!(
                    "{}: {}",
                    other.summary(),
                    match Journal::half_way(host) {
                        Ok(None) => "it is as it was before, but not all of it: authentik-install install",
                        _ => "it could not be brought back at once: authentik-install restore --abort",
                    }
                )),
            }
        })
    }
}
