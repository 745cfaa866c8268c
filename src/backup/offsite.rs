//! Copies of backups on another machine: made by restic, or by a program of the administrator's.

use super::check;
use super::shelf::{self, Shelved};
use crate::error::{Exit, Failure, Result};
use crate::host::outside::Outside;
use crate::host::{Reader, Writer};
use crate::settings::input::Offsite;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(12 * 3600);
/// What all of our snapshots have in common.
const TAG: &str = "authentik-install";

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'s> {
    /// A program that is told what to do by its environment.
    Program(&'s Path),
    /// A repository of restic's.
    Restic(Repository<'s>),
}

/// A repository of restic's, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository<'s> {
    /// In restic's words.
    pub name: &'s str,
    /// File that holds its password.
    pub password_file: &'s Path,
    /// File with what the storage behind it wants to know, as `AWS_SECRET_ACCESS_KEY=…`.
    pub environment_file: Option<&'s Path>,
}

impl<'s> Place<'s> {
    /// As the settings have it.
    pub fn of(settings: &'s Offsite) -> Option<Self> {
        let Offsite { command, repository, password_file, environment_file } = settings;
        match (command, repository, password_file) {
            (Some(command), ..) => Some(Place::Program(command.path())),
            (None, Some(name), Some(password_file)) => Some(Place::Restic(Repository {
                name: name.as_str(),
                password_file: password_file.path(),
                environment_file: environment_file.as_ref().map(|file| file.path()),
            })),
            _ => None,
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Place::Program(program) => program.display().to_string(),
            Place::Restic(repository) => repository.name.to_owned(),
        }
    }
}

/// Copies a backup there, and notes that it is.
///
/// # Errors
/// If it cannot be copied. The backup itself is untouched.
pub fn send(host: &Reader, place: &Place<'_>, backup: &Shelved) -> Result<()> {
    let dir = backup.path.display().to_string();
    match place {
        Place::Program(program) => by_program(host, program, "send", &backup.id, &dir)?,
        Place::Restic(repository) => {
            let name = host.host_name();
            let tags = format!("{TAG},{}", backup.id);
            let args = ["backup", "--quiet", "--host", &name, "--tag", &tags, &dir];
            restic(host, repository, ("copying to", repository.name), &args)?;
        }
    }
    shelf::note_copy(host, &backup.path, &place.shown())
}

/// Brings a backup back by its name, or the newest one by `latest`, into a folder of backups, and tells
/// whether it is new there: one that is there already is used as it is.
///
/// # Errors
/// With [`Exit::Nothing`] if there is none, or [`Exit::Damaged`] if it is not what it was.
pub fn fetch(
    host: &Writer<'_>,
    place: &Place<'_>,
    dir: &Path,
    wanted: &str,
) -> Result<(Shelved, bool)> {
    let found = match place {
        Place::Program(_) => Found { id: wanted.to_owned(), at: String::new() },
        Place::Restic(repository) => find(host, repository, wanted)?,
    };
    if shelf::time_of(&found.id).is_none() {
        let why = match place {
            Place::Program(_) => {
                "a program is asked for one by its name, as 20261125T041500Z-00ab1f"
            }
            Place::Restic(_) => "that is no name of a backup",
        };
        return Err(none(place, wanted, why));
    }
    let path = dir.join(&found.id);
    if host.stat(&path)?.is_some() {
        let here = shelf::find(host, dir, &found.id)?;
        return match check::sums(host, &here)?.into_iter().next() {
            None => Ok((here, false)),
            Some(finding) => Err(super::damaged(&found.id, format!("it is here, and {finding}"))
                .next(format!("rm -r {}, and fetch it again", path.display()))),
        };
    }
    if host.stat(dir)?.is_none() {
        host.create_private_dir(dir)?;
    }
    let partial = shelf::partial(host, dir, &found.id);
    host.remove_tree(&partial)?;
    host.create_private_dir(&partial)?;
    let fetched = brought(host, place, (&found, &partial))
        .and_then(|()| shelf::adopt(host, &partial, &found.id))
        .and_then(|()| shelf::note_copy(host, &partial, &place.shown()))
        .and_then(|()| host.publish_dir(&partial, &path));
    match fetched {
        Ok(()) => Ok((shelf::find(host, dir, &found.id)?, true)),
        Err(failure) => Err(failure.tidied(host.remove_tree(&partial))),
    }
}

struct Found {
    id: String,
    at: String,
}

fn none(place: &Place<'_>, wanted: &str, why: &str) -> Failure {
    let next = match place {
        Place::Program(_) => "list what is there by the means of the program".to_owned(),
        Place::Restic(Repository { name, password_file, .. }) => format!(
            "restic -r {name} --password-file {} snapshots --tag {TAG}",
            password_file.display()
        ),
    };
    Failure::new("looking for the backup", format!("{wanted} in {}", place.shown()), why)
        .next(next)
        .exit(Exit::Nothing)
}

fn brought(host: &Reader, place: &Place<'_>, (found, partial): (&Found, &PathBuf)) -> Result<()> {
    let target = partial.display().to_string();
    match place {
        Place::Program(program) => by_program(host, program, "fetch", &found.id, &target),
        Place::Restic(repository) => {
            let args = ["restore", "--quiet", "--target", &target, &found.at];
            restic(host, repository, ("fetching from", repository.name), &args).map(drop)
        }
    }
}

#[derive(Deserialize)]
struct Snapshot {
    id: String,
    hostname: String,
    paths: Vec<String>,
    tags: Option<Vec<String>>,
}

fn find(host: &Reader, repository: &Repository<'_>, wanted: &str) -> Result<Found> {
    let tags = match wanted {
        "latest" => TAG.to_owned(),
        id => format!("{TAG},{id}"),
    };
    let doing = ("looking for backups in", repository.name);
    let said = restic(host, repository, doing, &["snapshots", "--json", "--tag", &tags])?;
    let snapshots: Vec<Snapshot> = serde_json::from_str(&said)
        .map_err(|error| Failure::new("reading the answer of", "restic", error.to_string()))?;
    let place = Place::Restic(repository.clone());
    let known = snapshots.into_iter().filter_map(|snapshot| {
        let id = snapshot.tags.iter().flatten().find(|tag| shelf::time_of(tag).is_some())?;
        let at = format!("{}:{}", snapshot.id, snapshot.paths.first()?);
        Some((snapshot.hostname, Found { id: id.clone(), at }))
    });
    let of_one = shelf::of_one_host(known.collect(), &host.host_name(), |(of, _)| of.clone());
    // By when the backup was made, not when it was copied.
    let newest = of_one
        .map_err(|why| none(&place, wanted, &why))?
        .into_iter()
        .map(|(_, found)| found)
        .max_by(|one, other| one.id.cmp(&other.id));
    newest.ok_or_else(|| none(&place, wanted, "there is none of that name"))
}

fn restic(
    host: &Reader,
    repository: &Repository<'_>,
    doing: (&str, &str),
    args: &[&str],
) -> Result<String> {
    host.refuse_readable(repository.password_file)?;
    repository.environment_file.map_or(Ok(()), |file| host.refuse_readable(file))?;
    let program = host.program("restic").ok_or_else(|| {
        Failure::new("looking for", "restic", "it is not installed").next("apt-get install restic")
    })?;
    let password_file = repository.password_file.display().to_string();
    let outside = Outside {
        program,
        args: ["--retry-lock", "10m"].into_iter().chain(args.iter().copied()).collect(),
        environment: vec![
            ("RESTIC_REPOSITORY", repository.name),
            ("RESTIC_PASSWORD_FILE", &password_file),
            ("RESTIC_CACHE_DIR", "/var/cache/restic"),
            ("HOME", "/root"),
        ],
        environment_file: repository.environment_file,
        input: "",
        limit: LIMIT,
        interruptible: true,
        unattended: None,
    };
    host.run_outside(doing, &outside).map_err(|failure| {
        failure.or_next(|| {
            format!(
                "restic -r {} --password-file {password_file} snapshots (restic 0.16 or newer is needed)",
                repository.name
            )
        })
    })
}

fn by_program(host: &Reader, program: &Path, action: &str, id: &str, dir: &str) -> Result<()> {
    let shown = program.display().to_string();
    let environment = vec![
        ("AUTHENTIK_BACKUP_ACTION", action),
        ("AUTHENTIK_BACKUP_ID", id),
        ("AUTHENTIK_BACKUP_DIR", dir),
        ("HOME", "/root"),
    ];
    let outside = Outside {
        program: program.to_owned(),
        environment,
        limit: LIMIT,
        interruptible: true,
        ..Outside::default()
    };
    host.run_outside(("handing the backup to", &shown), &outside).map(drop)
}
