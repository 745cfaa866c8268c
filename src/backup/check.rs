//! Is a backup what it was when it was made? By its sums; or, once and for all, by restoring it into
//! places that nobody uses.

use super::chosen::{Chosen, Identities};
use super::manifest::{self, Part, Sum};
use super::part::{Hashing, copy};
use super::shelf::{self, Proof, Shelved};
use super::unpack::Nests;
use super::{Halves, guide, source};
use crate::error::{Cause, Exit, Failure, Result};
use crate::event::{Event, Sink as Told};
use crate::host::postgres::Server;
use crate::host::store::open_trusted;
use crate::host::{Reader, Writer};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The database that a backup is restored into to prove it.
pub const SCRATCH: &str = "authentik_install_proof";

/// What is wrong with its files, by their sums; nothing if it is whole.
///
/// # Errors
/// If somebody wants to stop.
pub fn sums(host: &Reader, backup: &Shelved) -> Result<Vec<String>> {
    let manifest = match &backup.manifest {
        Ok(manifest) => manifest,
        Err(why) => return Ok(vec![why.clone()]),
    };
    let whole = |name: &str| Ok(sum(host, &backup.path.join(name))?.sha256);
    let mut found: Vec<String> = std::thread::scope(|scope| {
        let look = |part| scope.spawn(move || of_part(host, &backup.path, part));
        let looks: Vec<_> = manifest.parts.iter().map(look).collect();
        let ended = looks.into_iter().map(|look| {
            look.join().unwrap_or_else(|_| Some("a look at a part ended early".to_owned()))
        });
        ended.flatten().collect()
    });
    let written = host.read(&backup.path.join(shelf::SUMS));
    let expected = whole(manifest::NAME)
        .and_then(|of_manifest| Ok(shelf::sums(manifest, &of_manifest, &whole(guide::NAME)?)));
    match (expected, written) {
        (Ok(expected), Ok(Some(file))) if expected.as_bytes() == file.bytes => {}
        (Ok(_), Ok(Some(_))) => found.push(format!(
            "{}, {} or {} is not what it was",
            manifest::NAME,
            guide::NAME,
            shelf::SUMS
        )),
        (Ok(_), Ok(None)) => found.push(format!("{} is missing", shelf::SUMS)),
        (Err(failure), _) | (_, Err(failure)) => found.push(failure.summary()),
    }
    // Stopped in the middle it would pass for damaged.
    host.check_interrupt().map(|()| found)
}

fn sum(host: &Reader, path: &Path) -> Result<Sum> {
    let mut file = Hashing::new(open_trusted(path)?);
    copy(&mut file, &mut io::sink(), |_| host.go_on())
        .map_err(|error| Failure::new("reading", path.display(), error))?;
    Ok(file.end().0)
}

fn of_part(host: &Reader, dir: &Path, Part { name, stored, .. }: &Part) -> Option<String> {
    match sum(host, &dir.join(name)) {
        Ok(here) if here == *stored => None,
        Ok(here) if here.bytes != stored.bytes => Some(super::sized(name, here.bytes, stored)),
        Ok(_) => Some(format!("{name} is not what it was")),
        Err(failure) => Some(failure.summary()),
    }
}

/// Restores it into a scratch database and a scratch folder, compares everything, removes both, and
/// writes down what came of it.
///
/// # Errors
/// If it cannot be tried: PostgreSQL does not answer, or the key is missing. What is wrong with the
/// backup is told in the proof.
pub fn prove(
    host: &Writer<'_>,
    (server, role): (&Server, &str),
    backup: &Shelved,
    identities: &Identities,
    told: &dyn Told,
) -> Result<Proof> {
    let mut findings = sums(host, backup)?;
    if let (Ok(manifest), true) = (&backup.manifest, findings.is_empty()) {
        let chosen = Chosen { backup, manifest, identities };
        let (halves, found) = (Halves::new(host), Mutex::default());
        let trial = Trial { halves, found, host, server, role, chosen };
        let places = "a scratch database and a scratch folder";
        told.emit(&Event::note(format!("restoring {} into {places}", backup.id)));
        let tried =
            trial.halves.both(|| trial.note(trial.files()), || trial.note(trial.database()));
        findings = trial.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What one half has found stands, whatever kept the other one from looking.
        if let Err(failure) = tried
            && (findings.is_empty() || failure.exit_code().by_signal())
        {
            return Err(failure);
        }
    }
    let proof = proof(findings);
    shelf::note(host, &backup.path, &proof)?;
    Ok(proof)
}

/// Writes down that the sums of a backup differ: from then on it is none of the good ones.
///
/// # Errors
/// If the folder takes no file.
pub fn note_damage(host: &Writer<'_>, backup: &Shelved, findings: &[String]) -> Result<()> {
    shelf::note(host, &backup.path, &proof(findings.to_vec()))
}

fn proof(findings: Vec<String>) -> Proof {
    Proof {
        format: 1,
        time: Timestamp::now(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        proven: findings.is_empty(),
        findings,
    }
}

/// Drops the scratch database, if there is one.
///
/// # Errors
/// If the server says no.
pub fn sweep(host: &Writer<'_>, server: &Server) -> Result<()> {
    host.sql_at_length(
        server,
        "postgres",
        &format!("DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)"),
    )
}

// pg_restore does not take the dump; what the server lacks says nothing of it.
fn is_refusal(failure: &Failure) -> bool {
    let lacks = ["No space left", "connect", "terminated", "out of memory"];
    match failure.cause() {
        Cause::Program { program, tail, .. } => {
            program.ends_with("pg_restore") && !lacks.iter().any(|word| tail.contains(word))
        }
        _ => false,
    }
}

struct Trial<'t> {
    halves: Halves<'t>,
    found: Mutex<Vec<String>>,
    host: &'t Writer<'t>,
    server: &'t Server,
    role: &'t str,
    chosen: Chosen<'t>,
}

impl Trial<'_> {
    // A damaged backup is a finding; that it could not be tried is not.
    fn note(&self, ended: Result<Vec<String>>) -> Result<()> {
        let list = match ended {
            Err(failure) if failure.exit_code() == Exit::Damaged => vec![failure.summary()],
            ended => ended?,
        };
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(list);
        Ok(())
    }

    fn database(&self) -> Result<Vec<String>> {
        // What a killed run left.
        sweep(self.host, self.server)?;
        let to = (SCRATCH, self.role);
        let compared = match self.chosen.fill(self.host, self.server, to, &self.halves) {
            Ok(()) => self.compare(),
            Err(failure) if is_refusal(&failure) => Ok(vec![failure.summary()]),
            Err(failure) => Err(failure),
        };
        let dropped = sweep(&self.host.undisturbed(), self.server);
        compared.and_then(|found| dropped.map(|()| found))
    }

    fn compare(&self) -> Result<Vec<String>> {
        let session = self.host.hold_still(self.server, SCRATCH)?;
        let session = session
            .ok_or_else(|| Failure::new("looking at", SCRATCH, "the scratch database is gone"))?;
        let rows: BTreeMap<String, u64> = self.host.ask_still(&session, source::ROWS)?;
        let schemas: Vec<String> = self.host.ask_still(&session, source::SCHEMAS)?;
        let wanted = &self.chosen.manifest.postgresql;
        let mut found = Vec::new();
        if schemas != wanted.schemas {
            found.push(format!(
                "schemas: {}, not {}",
                schemas.join(", "),
                wanted.schemas.join(", ")
            ));
        }
        for table in
            wanted.rows.keys().chain(rows.keys().filter(|name| !wanted.rows.contains_key(*name)))
        {
            let (here, there) = (rows.get(table), wanted.rows.get(table));
            if here != there {
                let said = |rows: Option<&u64>| rows.map_or("no".to_owned(), u64::to_string);
                found.push(format!("{table} has {} rows, not {}", said(here), said(there)));
            }
        }
        Ok(found)
    }

    fn files(&self) -> Result<Vec<String>> {
        let shelf = self.chosen.backup.path.parent().unwrap_or(Path::new("/"));
        let folder = shelf::partial(self.host, shelf, "proof");
        // What a killed run left.
        self.host.remove_tree(&folder)?;
        self.host.create_private_dir(&folder)?;
        let tried = self.unpack(&folder);
        let removed = self.host.remove_tree(&folder);
        tried.and_then(|()| removed.map(|()| Vec::new()))
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        for start in ["data.tar", "config.tar"] {
            let mut nests = Nests::new();
            let known = self.chosen.manifest.trees.iter().map(|tree| tree.name.as_str());
            for name in known.filter(|name| source::trees(start).contains(name)) {
                nests.insert(name.to_owned(), self.host.nest(&folder.join(name))?);
            }
            self.chosen.unpack(start, &nests, None, &self.halves)?;
        }
        Ok(())
    }
}
