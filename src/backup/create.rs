//! One backup: listed, dumped, packed, written down, and moved into place.

use super::manifest::{self, Manifest, Part, TreeRow};
use super::pack::{Listed, Packed, pack};
use super::part::{Sink, copy};
use super::shelf;
use super::source::{self, Installation};
use super::swap::Journal;
use crate::error::{Exit, Failure, Result};
use crate::event::{Event, Sink as Told};
use crate::host::session::Session;
use crate::host::store::Streamed;
use crate::host::systemd::Manager;
use crate::host::{Writer, files::sha256};
use crate::names::Recipient;
use crate::resource::workload::{SERVICES, STOP};
use crate::settings::Settings;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// What the backup is called that a restore makes of what was there before it.
pub const SAFETY: &str = "before-restore";
/// Said by the half that has to end because the other one failed.
const STOPPED: &str = "the other half failed";
/// Bytes between two words about them.
const TOLD: u64 = 4 << 20;

/// What is wanted.
#[derive(Debug)]
pub struct Options {
    /// The folder that backups are in.
    pub dir: PathBuf,
    /// Stop authentik meanwhile.
    pub quiesce: bool,
    /// What to call it.
    pub tag: Option<String>,
    /// Who can decrypt it.
    pub recipients: Vec<Recipient>,
}

/// Makes one. It is there whole, or not at all; what could not be read as it should is told in its
/// warnings.
///
/// # Errors
/// If it cannot be made. What there was before is untouched.
pub fn create(
    host: &Writer<'_>,
    settings: &Settings,
    options: &Options,
    told: &dyn Told,
) -> Result<Manifest> {
    let begun = Instant::now();
    let time = Timestamp::now();
    Journal::refuse_half_way(host)?;
    let installation = Installation::look(host, settings)?;
    sweep(host, &options.dir)?;
    let id = format!("{}-{:06x}", time.strftime("%Y%m%dT%H%M%SZ"), rand::random::<u32>() >> 8);
    let partial = shelf::partial(host, &options.dir, &id);
    let meter = Meter::default();
    let job =
        Job { meter, host, settings, options, told, installation: &installation, dir: &partial };
    let made = job.quietly(|| {
        host.create_private_dir(&partial)?;
        let mut manifest = job.parts(&id, time)?;
        manifest.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(0);
        job.describe(&manifest)?;
        host.publish_dir(&partial, &options.dir.join(&id))?;
        Ok(manifest)
    });
    if made.is_err() {
        // The next run sweeps what cannot be removed now.
        let _ = host.remove_tree(&partial);
    }
    made.map_err(|failure| {
        failure.or_next(|| {
            let dir = options.dir.display();
            format!("is there room? df -h {dir}; authentik-install backup prune --dry-run")
        })
    })
}

/// Removes what a killed run left. The lock is held, so nobody is making one now.
///
/// # Errors
/// If the folder is missing, or others than root can change it.
fn sweep(host: &Writer<'_>, dir: &Path) -> Result<()> {
    if host.stat(dir)?.is_none() {
        return Err(Failure::new("backing up into", dir.display(), "there is no such folder")
            .next(format!("install -d -m 0700 {}", dir.display()))
            .exit(Exit::Unfit));
    }
    shelf::partials(host, dir)?.iter().try_for_each(|partial| host.remove_tree(partial))
}

/// What one of the two threads made: the dump, and what is small.
struct Dumped {
    dump: Part,
    config: (Part, Packed),
}

/// What the other one made.
struct Files {
    data: (Part, Packed),
    /// How many each table of the dump has.
    rows: BTreeMap<String, u64>,
}

/// How much has gone through, told now and then.
#[derive(Default)]
struct Meter {
    done: AtomicU64,
    told: AtomicU64,
    stopped: AtomicBool,
}

struct Job<'j> {
    meter: Meter,
    host: &'j Writer<'j>,
    settings: &'j Settings,
    options: &'j Options,
    told: &'j dyn Told,
    installation: &'j Installation,
    dir: &'j Path,
}

impl Job<'_> {
    // With authentik stopped, if that is wanted, and started again whatever happens.
    fn quietly<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.options.quiesce || !self.settings.service.started {
            return work();
        }
        let manager = Manager::User(&self.installation.account);
        self.told.emit(&Event::note("authentik stands still until the backup is made."));
        let stopped = self.host.unit_job(manager, "stop", &SERVICES, STOP);
        let made = stopped.and_then(|()| work());
        let started = self.host.undisturbed().queue_job(manager, "start", &SERVICES);
        made.and_then(|made| started.map(|()| made))
    }

    fn parts(&self, id: &str, time: Timestamp) -> Result<Manifest> {
        let Job { host, settings, installation, .. } = self;
        let name = settings.database.name.as_str();
        // First what there is, then the dump, then the files: what the dump names is there.
        let data = installation.data(host, settings)?;
        let config = installation.config(host, settings)?;
        let session = host.hold_still(&installation.server, name)?.ok_or_else(|| {
            Failure::new("backing up", format!("the database {name}"), "there is none")
                .next("authentik-install verify --only database")
                .exit(Exit::Unfit)
        })?;
        let (mut postgresql, newest) = source::database(host, &session)?;
        self.room(&postgresql, &[&data, &config])?;
        let total = postgresql.bytes / 2 + data.iter().map(Listed::bytes).sum::<u64>();
        let (dumped, packed) = self.dump_and_pack(&session, (&config, &data), total)?;
        let Dumped { dump, config: (settings_part, configured) } = dumped;
        let Files { data: (files, packed), rows } = packed;
        postgresql.rows = rows;
        drop(session);
        let mut files_all = packed.rows;
        files_all.extend(configured.rows);
        let tree =
            |listed: &Listed| TreeRow { name: listed.name.clone(), path: listed.path.clone() };
        Ok(Manifest {
            format: manifest::FORMAT,
            id: id.to_owned(),
            time,
            took_ms: 0,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            host: host.host_name(),
            domain: settings.domain.to_string(),
            user: settings.user.to_string(),
            tag: self.options.tag.clone(),
            quiesced: self.options.quiesce,
            authentik: source::authentik(settings, installation.digest.clone(), newest),
            user_namespace: settings.user_namespace,
            database_auth: settings.database.auth,
            postgresql,
            recipients: self.options.recipients.iter().map(ToString::to_string).collect(),
            parts: vec![dump, files, settings_part],
            trees: data.iter().chain(&config).map(tree).collect(),
            warnings: packed.warnings.into_iter().chain(configured.warnings).collect(),
            files: files_all.into_values().collect(),
        })
    }

    // A disk that is full in the middle is found out soon enough; what is plain beforehand is told.
    fn room(&self, database: &manifest::Postgresql, trees: &[&Vec<Listed>]) -> Result<()> {
        let files: u64 = trees.iter().flat_map(|trees| trees.iter()).map(Listed::bytes).sum();
        let free = self.host.space(&self.options.dir)?.free;
        // A database shrinks to a tenth and less, pictures hardly at all.
        let needed = database.bytes / 20 + files / 4;
        if free >= needed {
            return Ok(());
        }
        let dir = self.options.dir.display();
        let why = format!("{} MiB are free, and at least {} are needed", free >> 20, needed >> 20);
        Err(Failure::new("backing up into", &dir, why)
            .next(format!("authentik-install backup prune --dry-run; df -h {dir}")))
    }

    // Both cores have something to do: files are read as soon as the dump has its moment.
    fn dump_and_pack(
        &self,
        session: &Session,
        (config, data): (&[Listed], &[Listed]),
        total: u64,
    ) -> Result<(Dumped, Files)> {
        let (begun, begins) = mpsc::channel();
        std::thread::scope(|scope| {
            let packed = scope.spawn(move || {
                // Nothing comes if there is no dump; then there is nothing to pack for.
                let packed = match begins.recv() {
                    Ok(()) => self.files(session, data, total),
                    Err(_) => Err(Failure::new("packing", "the files", STOPPED)),
                };
                self.meter.stopped.fetch_or(packed.is_err(), Ordering::Relaxed);
                packed
            });
            let dumped = self.host.dump(session, |mut stream| {
                let mut sink = self.sink("db.dump")?;
                let fail = |error: io::Error| Failure::new("writing", "db.dump", error);
                let mut first = [0_u8; 5];
                stream.read_exact(&mut first).map_err(fail)?;
                let _ = begun.send(());
                sink.write_all(&first).map_err(fail)?;
                copy(&mut stream, &mut sink, |bytes| self.moved(bytes, total)).map_err(fail)?;
                Ok(sink)
            });
            // Whoever waits for a moment that never came is to know.
            drop(begun);
            let dumped = dumped.and_then(|sink| {
                let dump = self.end(sink)?;
                let tick = &mut |bytes| self.moved(bytes, total);
                Ok(Dumped { dump, config: self.packed("config.tar", config, tick)? })
            });
            self.meter.stopped.fetch_or(dumped.is_err(), Ordering::Relaxed);
            let packed = packed.join().unwrap_or_else(|_| {
                Err(Failure::new("packing", "the files", "the thread ended early"))
            });
            match (dumped, packed) {
                (Ok(dumped), Ok(packed)) => Ok((dumped, packed)),
                // The one that failed first knows why.
                (Err(failure), Err(other)) if failure.summary().contains(STOPPED) => Err(other),
                (Err(failure), _) | (_, Err(failure)) => Err(failure),
            }
        })
    }

    // Rows are counted meanwhile: once the dump has begun, no lock was in its way.
    fn files(&self, session: &Session, data: &[Listed], total: u64) -> Result<Files> {
        let count = || {
            let rows = self.host.ask_still(session, source::ROWS);
            self.meter.stopped.fetch_or(rows.is_err(), Ordering::Relaxed);
            rows
        };
        let tick = &mut |bytes| self.moved(bytes, total);
        let (rows, data) = super::both(count, || self.packed("data.tar", data, tick));
        Ok(Files { rows: rows?, data: data? })
    }

    // Called for every piece that goes through, from both threads.
    fn moved(&self, bytes: u64, total: u64) -> io::Result<()> {
        if self.meter.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other(STOPPED));
        }
        self.host.check_interrupt().map_err(|stop| io::Error::other(stop.summary()))?;
        let done = self.meter.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if done.saturating_sub(self.meter.told.load(Ordering::Relaxed)) >= TOLD {
            self.meter.told.store(done, Ordering::Relaxed);
            self.told.emit(&Event::Moving { id: "backing up".into(), done, total });
        }
        Ok(())
    }

    fn packed(
        &self,
        name: &str,
        trees: &[Listed],
        tick: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<(Part, Packed)> {
        let mut sink = self.sink(name)?;
        let packed = pack(trees, &self.installation.maps, &mut sink, tick)?;
        Ok((self.end(sink)?, packed))
    }

    fn sink(&self, name: &str) -> Result<Sink<Streamed>> {
        let recipients = &self.options.recipients;
        let ending = if recipients.is_empty() { "zst" } else { "zst.age" };
        let name = format!("{name}.{ending}");
        let file = self.host.create_stream(&self.dir.join(&name))?;
        Sink::new(&name, file, recipients)
    }

    fn end(&self, sink: Sink<Streamed>) -> Result<Part> {
        let (part, file) = sink.end()?;
        file.sync().map_err(|error| Failure::new("writing", &part.name, error))?;
        Ok(part)
    }

    // The manifest, how to restore by hand, and the sums of all, as sha256sum reads them.
    fn describe(&self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_string_pretty(manifest)
            .map_err(|error| Failure::new("writing", manifest::NAME, error.to_string()))?;
        // What could not be read again is none.
        Manifest::parse(text.as_bytes(), manifest::NAME)?;
        let guide = super::guide::text(manifest)?;
        let sums = shelf::sums(manifest, &sha256(text.as_bytes()), &sha256(guide.as_bytes()));
        for (name, text) in
            [(manifest::NAME, text), (super::guide::NAME, guide), (shelf::SUMS, sums)]
        {
            let mut file = self.host.create_file(&self.dir.join(name))?;
            file.write_all(text.as_bytes())
                .map_err(|error| Failure::new("writing", name, error))?;
            synced(&file, name)?;
        }
        Ok(())
    }
}

fn synced(file: &File, name: &str) -> Result<()> {
    file.sync_all().map_err(|error| Failure::new("writing", name, error))
}
