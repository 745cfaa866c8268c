//! `backup`: make, look, prove, throw away.

use crate::backup::check;
use crate::backup::chosen::Identities;
use crate::backup::create::{self, Options};
use crate::backup::shelf::{self, Shelved};
use crate::backup::{export, retention};
use crate::cli::{
    Backup, BackupVerb, Create, Export, Key, List, Prove, Prune, Schedule, Shelf, Show,
};
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::lock::Lock;
use crate::host::{Reader, Writer, files};
use crate::names::Recipient;
use crate::settings::Settings;
use crate::ui::{backup as screen, json};
use crate::verbs::{World, installed, offsite, scheduled, undo};
use serde_json::json;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run of the timer waits so long for another run to end.
const PATIENCE: Duration = Duration::from_secs(1800);
const UNIT: &str = "authentik-backup.service";

/// Does what was asked for.
///
/// # Errors
/// If nothing is installed here, or it cannot be done.
pub fn run(world: &World<'_>, args: &Backup) -> Result<Exit> {
    match &args.verb {
        None => make(world, &args.create),
        Some(BackupVerb::Create(args)) => make(world, args),
        Some(BackupVerb::List(args)) => list(world, args),
        Some(BackupVerb::Show(args)) => show(world, args),
        Some(BackupVerb::Verify(args)) => verify(world, args),
        Some(BackupVerb::Prune(args)) => prune(world, args),
        Some(BackupVerb::Export(args)) => carry(world, args),
        Some(BackupVerb::Send(args)) => offsite::send(world, args),
        Some(BackupVerb::Fetch(args)) => offsite::fetch(world, args),
        Some(BackupVerb::Schedule(args)) => schedule(world, args),
        Some(BackupVerb::Key(Key::New)) => {
            world.output.result(&new_key());
            Ok(Exit::Done)
        }
    }
}

pub(super) fn opened(world: &World<'_>, shelf: &Shelf) -> Result<(Settings, PathBuf)> {
    let settings = installed(&world.host, &shelf.config.config)?;
    let dir = shelf.dir.clone().unwrap_or_else(|| settings.backup.dir.path().to_owned());
    match dir.is_absolute() {
        true => Ok((settings, dir)),
        false => Err(Failure::new("looking for backups in", dir.display(), "it is not absolute")
            .next("give an absolute path: --dir /mnt/backups")
            .exit(Exit::Usage)),
    }
}

pub(super) fn lock(world: &World<'_>, by_timer: bool, verb: &str) -> Result<Lock> {
    match by_timer {
        true => Lock::wait(&world.host, verb, PATIENCE),
        false => Lock::take(verb),
    }
}

fn make(world: &World<'_>, args: &Create) -> Result<Exit> {
    let (settings, dir) = opened(world, &args.shelf)?;
    let ended = made(world, args, (&settings, &dir));
    if args.scheduled {
        let all = shelf::list_own(&world.host, &dir, settings.domain.as_str()).unwrap_or_default();
        metrics(world, &settings, &all, ended.is_err());
        match &ended {
            Err(failure) => tell(world, &settings, "no backup was made", failure),
            // Only where there is a new backup is something old thrown away.
            Ok(_) => undo::expire(world, &settings),
        }
    }
    ended
}

fn made(world: &World<'_>, args: &Create, (settings, dir): (&Settings, &Path)) -> Result<Exit> {
    let recipients = match args.recipient.as_slice() {
        [] => settings.backup.recipients.clone(),
        given => recipients(given)?,
    };
    let options =
        Options { dir: dir.to_owned(), quiesce: args.quiesce, tag: args.tag.clone(), recipients };
    // While authentik stands still nobody is to be alarmed by it.
    let verb = if args.quiesce { "backup --quiesce" } else { scheduled::BACKUP };
    let lock = lock(world, args.scheduled, verb)?;
    let host = Writer::new(world.host.clone(), &lock);
    let manifest = create::create(&host, settings, &options, world.told)?;
    tracing::info!(backup = manifest.id, "made a backup");
    for warning in &manifest.warnings {
        world.told.emit(&Event::warning(warning.as_str()));
    }
    let path = dir.join(&manifest.id);
    world.output.result(&match args.json {
        true => json::pretty(&json!({
            "format": 1, "id": manifest.id, "path": path, "bytes": manifest.stored(),
            "took_ms": manifest.took_ms, "warnings": manifest.warnings,
        }))?,
        false => screen::made(&manifest, &path),
    });
    let mut warned = !manifest.warnings.is_empty();
    if args.scheduled {
        // Only now: as long as none can be made, none is thrown away.
        let (judged, left) = thrown_away(&host, settings, dir)?;
        world.output.result(&screen::retention(&judged, false));
        left.iter().for_each(|failure| world.told.emit(&Event::warning(failure.to_string())));
        warned |= !left.is_empty();
    }
    // A copy takes its time, and changes nothing here: whoever waits for the lock need not.
    drop(host);
    drop(lock);
    let copied = offsite::follow(world, (settings, dir), &manifest.id, args.scheduled);
    Ok(if warned && !copied.by_signal() { Exit::Warned } else { copied })
}

// Not parsed on the command line, whose error would repeat a private key that was given by mistake.
fn recipients(given: &[String]) -> Result<Vec<Recipient>> {
    let parsed = given.iter().map(|key| key.parse::<Recipient>());
    parsed.collect::<std::result::Result<_, _>>().map_err(|why| {
        Failure::new("reading", "--recipient", why)
            .next("make a pair: authentik-install backup key new")
            .exit(Exit::Usage)
    })
}

// A timer that fails every night must not be found out on the day that the backup is needed.
pub(super) fn tell(world: &World<'_>, settings: &Settings, text: &str, failure: &Failure) {
    let document = json!({
        "format": 1, "event": "backup", "domain": settings.domain, "text": text,
        "why": failure.summary(), "next": failure.next_step(),
    });
    scheduled::notify(world, settings, &document.to_string());
}

fn metrics(world: &World<'_>, settings: &Settings, all: &[Shelved], failed: bool) {
    if let Some(path) = &settings.backup.prometheus_file {
        let text = screen::prometheus(all, failed);
        let written = files::publish(&world.host, path.path(), text.as_bytes(), 0o644);
        if let Err(failure) = written {
            world.told.emit(&Event::warning(failure.to_string()));
        }
    }
}

fn list(world: &World<'_>, args: &List) -> Result<Exit> {
    let (_, dir) = opened(world, &args.shelf)?;
    let all = shelf::list(&world.host, &dir)?;
    let text = if args.json { json::pretty(&screen::list_json(&all))? } else { screen::list(&all) };
    world.output.result(&text);
    Ok(Exit::Done)
}

fn show(world: &World<'_>, args: &Show) -> Result<Exit> {
    let (_, dir) = opened(world, &args.shelf)?;
    let one = shelf::find(&world.host, &dir, &args.id)?;
    let manifest = one.readable()?;
    world.output.result(&match args.json {
        true => json::pretty(manifest)?,
        false => screen::show(&one, manifest),
    });
    Ok(Exit::Done)
}

fn verify(world: &World<'_>, args: &Prove) -> Result<Exit> {
    let (settings, dir) = opened(world, &args.shelf)?;
    let ended = looked(world, args, (&settings, &dir));
    if args.scheduled {
        let all = shelf::list_own(&world.host, &dir, settings.domain.as_str()).unwrap_or_default();
        let last_failed = world
            .host
            .unit_result(UNIT)
            .is_ok_and(|result| !matches!(result.as_str(), "success" | "never" | "running"));
        metrics(world, &settings, &all, last_failed);
        let failure = match &ended {
            Ok(Exit::Done) => return ended,
            Ok(_) => Failure::new("proving", dir.display(), "a backup is damaged")
                .next("authentik-install backup list"),
            Err(failure) => Failure::new("proving", dir.display(), failure.summary()),
        };
        tell(world, &settings, "the backups could not be proven", &failure);
    }
    ended
}

fn looked(world: &World<'_>, args: &Prove, (settings, dir): (&Settings, &Path)) -> Result<Exit> {
    let host = &world.host;
    let wanted = match (&args.id, args.deep) {
        (Some(id), _) => vec![shelf::find(host, dir, id)?],
        (None, true) => vec![shelf::find(host, dir, "latest")?],
        (None, false) => shelf::list(host, dir)?,
    };
    if wanted.is_empty() {
        return Err(Failure::new("looking for backups in", dir.display(), "there is none")
            .next("authentik-install backup")
            .exit(Exit::Nothing));
    }
    let mut rows = Vec::new();
    for one in &wanted {
        // The private key is on another machine, as it should be: the sums are what can be looked at.
        let sealed = one.manifest.as_ref().is_ok_and(|manifest| !manifest.recipients.is_empty());
        let deep = args.deep && !(args.scheduled && sealed && args.identity.is_empty());
        if deep != args.deep {
            let text = format!("{} is encrypted: only its sums can be compared here", one.id);
            world.told.emit(&Event::note(text));
        }
        let findings = match deep {
            true => {
                let identities = identities(host, &args.identity)?;
                let lock = lock(world, args.scheduled, scheduled::BACKUP)?;
                let writer = Writer::new(host.clone(), &lock);
                let server = undo::server(host)?;
                let role = settings.database.user.as_str();
                check::prove(&writer, (&server, role), one, &identities, world.told)?.findings
            }
            false => check::sums(host, one)?,
        };
        if !deep && !findings.is_empty() {
            note_damage(world, args.scheduled, one, &findings);
        }
        rows.push((one, findings, deep));
    }
    let damaged = rows.iter().any(|(_, findings, _)| !findings.is_empty());
    world.output.result(&match args.json {
        true => {
            let rows = rows.iter().map(|(one, findings, deep)| {
                json!({"id": one.id, "deep": deep, "whole": findings.is_empty(), "findings": findings})
            });
            json::pretty(
                &json!({"format": 1, "backups": rows.collect::<Vec<_>>()}),
            )?
        }
        false => rows.iter().map(|(one, findings, deep)| said(one, findings, *deep)).collect(),
    });
    Ok(if damaged { Exit::Damaged } else { Exit::Done })
}

// So that it is not taken for a good one tomorrow. What was found counts, noted or not.
fn note_damage(world: &World<'_>, by_timer: bool, one: &Shelved, findings: &[String]) {
    let noted = lock(world, by_timer, scheduled::BACKUP).and_then(|lock| {
        check::note_damage(&Writer::new(world.host.clone(), &lock), one, findings)
    });
    if let Err(failure) = noted {
        world.told.emit(&Event::warning(failure.to_string()));
    }
}

fn said(one: &Shelved, findings: &[String], deep: bool) -> String {
    match (findings, deep) {
        ([], true) => format!("{}  proven: restored, and all of it as the manifest says\n", one.id),
        ([], false) => format!("{}  whole\n", one.id),
        (findings, _) => {
            let lines = findings.iter().map(|finding| format!("  {finding}\n"));
            format!("{}  DAMAGED\n{}", one.id, lines.collect::<String>())
        }
    }
}

/// Reads private keys, of age or of SSH.
///
/// # Errors
/// With [`Exit::NoKey`] if one cannot be read.
pub(super) fn identities(host: &Reader, paths: &[PathBuf]) -> Result<Identities> {
    let mut all: Identities = Vec::new();
    for path in paths {
        let refused = |why: String| {
            Failure::new("reading the private key in", path.display(), why)
                .next("it is made by: authentik-install backup key new")
                .exit(Exit::NoKey)
        };
        let mut text = zeroize::Zeroizing::new(String::new());
        let file = host.open_named(path).map_err(|failure| failure.exit(Exit::NoKey))?;
        file.take(1 << 20).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
        if text.contains("-----BEGIN") {
            let read = age::ssh::Identity::from_buffer(BufReader::new(text.as_bytes()), None);
            all.push(Box::new(read.map_err(|error| refused(error.to_string()))?));
            continue;
        }
        let read = age::IdentityFile::from_buffer(BufReader::new(text.as_bytes()))
            .map_err(|error| refused(error.to_string()))?;
        all.extend(read.into_identities().map_err(|error| refused(error.to_string()))?);
    }
    Ok(all)
}

fn judged(host: &Reader, settings: &Settings, dir: &Path) -> Result<Vec<retention::Verdict>> {
    let own = (host.host_name(), settings.domain.as_str());
    Ok(retention::judge(&shelf::list(host, dir)?, &settings.backup, (&own.0, own.1)))
}

// And what of it could not be.
fn thrown_away(
    host: &Writer<'_>,
    settings: &Settings,
    dir: &Path,
) -> Result<(Vec<retention::Verdict>, Vec<Failure>)> {
    let judged = judged(host, settings, dir)?;
    let mut left = Vec::new();
    for one in judged.iter().filter(|one| !one.stays()) {
        tracing::info!(backup = one.id, "deleting a backup that is too old");
        left.extend(shelf::discard(host, dir, &one.id).err());
    }
    Ok((judged, left))
}

fn prune(world: &World<'_>, args: &Prune) -> Result<Exit> {
    let (settings, dir) = opened(world, &args.shelf)?;
    let (judged, left) = match args.dry_run {
        true => (judged(&world.host, &settings, &dir)?, Vec::new()),
        false => {
            let lock = lock(world, false, scheduled::BACKUP)?;
            thrown_away(&Writer::new(world.host.clone(), &lock), &settings, &dir)?
        }
    };
    world.output.result(&match args.json {
        true => json::pretty(&json!({"format": 1, "dry_run": args.dry_run, "backups": judged}))?,
        false => screen::retention(&judged, args.dry_run),
    });
    left.iter().for_each(|failure| world.told.emit(&Event::warning(failure.to_string())));
    Ok(if left.is_empty() { Exit::Done } else { Exit::Warned })
}

fn carry(world: &World<'_>, args: &Export) -> Result<Exit> {
    let (_, dir) = opened(world, &args.shelf)?;
    let one = shelf::find(&world.host, &dir, &args.id)?;
    let findings = check::sums(&world.host, &one)?;
    if let Some(finding) = findings.first() {
        return Err(Failure::new("exporting", &one.id, finding.as_str())
            .next("authentik-install backup list")
            .exit(Exit::Damaged));
    }
    let bytes = export::export(&world.host, &one, &args.file)?;
    world.output.result(&format!("{}: {bytes} bytes", args.file.display()));
    Ok(Exit::Done)
}

fn schedule(world: &World<'_>, args: &Schedule) -> Result<Exit> {
    let (settings, dir) = opened(world, &args.shelf)?;
    let set =
        world.host.timers_elapse(&["authentik-backup.timer", "authentik-backup-proof.timer"])?;
    let at = |timer: &str| {
        let micros = *set.get(timer)?;
        Some(format!("{:.0}", jiff::Timestamp::from_microsecond(micros).ok()?))
    };
    let (next, proof) = (at("authentik-backup.timer"), at("authentik-backup-proof.timer"));
    let result = world.host.unit_result(UNIT)?;
    world.output.result(&match args.json {
        true => json::pretty(&json!({
            "format": 1, "enabled": settings.backup.enabled, "dir": dir,
            "schedule": settings.backup.schedule, "next": next, "next_proof": proof, "last_result": result,
        }))?,
        false => {
            let or = |time: Option<String>| time.unwrap_or_else(|| "not set".into());
            format!(
                "backup      {} ({})\nproof       {} ({})\nlast run    {result}\nfolder      {}",
                or(next),
                settings.backup.schedule,
                or(proof),
                settings.backup.deep_schedule,
                dir.display()
            )
        }
    });
    Ok(Exit::Done)
}

fn new_key() -> String {
    use age::secrecy::ExposeSecret;
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public();
    format!(
        "# This is shown once and kept nowhere. Keep it on another machine, in a file of its own:\n{}\n\n\
         # Backups are encrypted to its public half. In /etc/authentik/install.toml, below [backup]:\n\
         recipients = [\"{public}\"]",
        identity.to_string().expose_secret()
    )
}
