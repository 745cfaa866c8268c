//! One backup: listed, dumped, packed, written down, and moved into place.

use super::Halves;
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// What the backup is called that a restore makes of what was there before it.
pub const SAFETY: &str = "before-restore";
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
    sweep(host, &options.dir, told)?;
    let id = format!("{}-{:06x}", time.strftime("%Y%m%dT%H%M%SZ"), rand::random::<u32>() >> 8);
    let partial = shelf::partial(host, &options.dir, &id);
    let (halves, meter) = (Halves::new(host), Meter::default());
    let (installation, dir) = (&installation, partial.as_path());
    let job = Job { halves, meter, host, settings, options, told, installation, dir };
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
fn sweep(host: &Writer<'_>, dir: &Path, told: &dyn Told) -> Result<()> {
    if host.stat(dir)?.is_none() {
        return Err(Failure::new("backing up into", dir.display(), "there is no such folder")
            .next(format!("install -d -m 0700 {}", dir.display()))
            .exit(Exit::Unfit));
    }
    // One that stays is no reason for having no backup.
    for failure in
        shelf::partials(host, dir)?.iter().filter_map(|path| host.remove_tree(path).err())
    {
        told.emit(&Event::warning(failure.to_string()));
    }
    Ok(())
}

/// What one of the two threads made: the dump, and what is small.
struct Dumped {
    dump: Part,
    config: (Part, Packed),
}

/// What the other one made.
struct Files {
    data: (Part, Packed),
    /// How many each table of the dump has, if they could be counted meanwhile.
    rows: Option<BTreeMap<String, u64>>,
}

/// How much has gone through, told now and then.
#[derive(Default)]
struct Meter {
    done: AtomicU64,
    told: AtomicU64,
}

struct Job<'j> {
    halves: Halves<'j>,
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
        // First the moment of the dump, then what there is, then the files: what the dump names is there.
        let session = host.hold_still(&installation.server, name)?.ok_or_else(|| {
            Failure::new("backing up", format!("the database {name}"), "there is none")
                .next("authentik-install verify --only database")
                .exit(Exit::Unfit)
        })?;
        let data = installation.data(host, settings)?;
        let config = installation.config(host, settings)?;
        let missing = source::missing(settings, &data);
        let (mut postgresql, newest) = source::database(host, &session)?;
        self.room(&postgresql, &[&data, &config])?;
        let total = postgresql.bytes / 2 + data.iter().map(Listed::bytes).sum::<u64>();
        let (dumped, packed) = self.dump_and_pack(&session, (&config, &data), total)?;
        let Dumped { dump, config: (settings_part, configured) } = dumped;
        let Files { data: (files, packed), rows } = packed;
        postgresql.rows = match rows {
            Some(rows) => rows,
            None => {
                let again = format!("ROLLBACK TO SAVEPOINT counting; {}", source::ROWS);
                host.ask_still(&session, &again)?
            }
        };
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
            maps: Some(installation.maps),
            database_auth: settings.database.auth,
            postgresql,
            recipients: self.options.recipients.iter().map(ToString::to_string).collect(),
            parts: vec![dump, files, settings_part],
            trees: data.iter().chain(&config).map(tree).collect(),
            warnings: [missing, packed.warnings, configured.warnings].concat(),
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
        let files = move || match begins.recv() {
            Ok(()) => self.files(session, data, total),
            // Nothing comes if there is no dump; then there is nothing to pack for.
            Err(_) => Err(Failure::new("packing", "the files", super::STOPPED)),
        };
        let dump = move || {
            let sink = self.host.dump(session, move |mut stream| {
                let mut sink = self.sink("db.dump")?;
                let fail = |error: io::Error| Failure::new("writing", "db.dump", error);
                let mut first = [0_u8; 5];
                stream.read_exact(&mut first).map_err(fail)?;
                let _ = begun.send(());
                sink.write_all(&first).map_err(fail)?;
                copy(&mut stream, &mut sink, |bytes| self.moved(bytes, total)).map_err(fail)?;
                Ok(sink)
            })?;
            let dump = self.end(sink)?;
            let tick = &mut |bytes| self.moved(bytes, total);
            Ok(Dumped { dump, config: self.packed("config.tar", config, tick)? })
        };
        let (files, dumped) = self.halves.both(files, dump)?;
        Ok((dumped, files))
    }

    // Rows are counted meanwhile, unless somebody waits for a lock that the dump holds, and all others with
    // him.
    fn files(&self, session: &Session, data: &[Listed], total: u64) -> Result<Files> {
        let sql = format!("SAVEPOINT counting; {}", source::ROWS);
        let count = || Ok(self.host.ask_still(session, &sql).ok());
        let tick = &mut |bytes| self.moved(bytes, total);
        let (rows, data) = self.halves.both(count, || self.packed("data.tar", data, tick))?;
        Ok(Files { data, rows })
    }

    // Called for every piece that goes through, from both threads.
    fn moved(&self, bytes: u64, total: u64) -> io::Result<()> {
        self.halves.go_on()?;
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
