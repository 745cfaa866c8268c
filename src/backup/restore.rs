//! A restore, up to the moment of the swap: everything is looked at, and laid out beside what runs.

use super::Halves;
use super::check;
use super::chosen::Chosen;
use super::owner::Maps;
use super::source::{self, places};
use super::swap::{Databases, Folders, Journal};
use super::unpack::Nests;
use crate::data::release::{self, Step};
use crate::error::{Exit, Failure, Result};
use crate::event::{Event, Sink as Told};
use crate::facts;
use crate::facts::cache::{Cache, Guard};
use crate::host::postgres::Server;
use crate::host::valkey::Address;
use crate::host::{Reader, Writer};
use crate::secret::Secret;
use crate::settings::Settings;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a restore brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum What {
    /// The database.
    Database,
    /// What authentik keeps in files.
    Data,
    /// Settings and secrets.
    Config,
}

fn unfit(what: &str, why: String, next: String) -> Failure {
    Failure::new("restoring", what, why)
        .next(format!("{next}\nNothing was touched."))
        .exit(Exit::Unfit)
}

impl Chosen<'_> {
    /// Refuses what is damaged, locked, hostile, or not for this host. Nothing is touched.
    ///
    /// # Errors
    /// With the exit code of the reason.
    pub fn refuse_unfit(&self, host: &Reader, server: &Server) -> Result<()> {
        let Chosen { backup, manifest, .. } = self;
        if let Some(finding) = check::sums(host, backup)?.into_iter().next() {
            return Err(super::damaged(&backup.id, finding));
        }
        // The key is tried before anything is made that it would be needed for.
        self.open("config.tar")?;
        let (here, there) = (server.major(), manifest.postgresql.version / 10_000);
        if here < there {
            let why = format!("it is of PostgreSQL {there}, and PostgreSQL {here} runs here");
            return Err(unfit(&backup.id, why, format!("install PostgreSQL {there} or newer")));
        }
        let available: BTreeSet<String> = host
            .query(server, "postgres", "SELECT json_agg(name) FROM pg_available_extensions")?
            .unwrap_or_default();
        let missing = manifest.postgresql.extensions.keys().find(|name| !available.contains(*name));
        if let Some(name) = missing {
            let why = format!("its database needs the extension {name}, which this server lacks");
            return Err(unfit(&backup.id, why, "apt-get install postgresql-contrib".into()));
        }
        self.look_through(host)
    }

    /// Refuses if there is no room for it twice over, wherever it is going to be: the old stays beside the
    /// new until it is committed.
    ///
    /// # Errors
    /// With [`Exit::Unfit`], and the file system.
    pub fn refuse_narrow(&self, host: &Reader, server: &Server, journal: &Journal) -> Result<()> {
        let database = journal.databases.as_ref().map(|_| server.data_dir.as_path());
        let mut wanted: Vec<(&Path, u64)> =
            database.map(|path| (path, self.manifest.postgresql.bytes)).into_iter().collect();
        for Folders { tree, live, .. } in &journal.folders {
            let rows = self.manifest.files.iter().filter(|row| row.tree() == tree);
            let bytes = rows.filter_map(|row| Some(row.sum.as_ref()?.bytes)).sum();
            wanted.push((live, bytes));
        }
        let mut needed: BTreeMap<u64, (u64, u64, &Path)> = BTreeMap::new();
        for (path, bytes) in wanted {
            // What is not there yet is going to be where its parent is.
            let there = path.ancestors().find(|path| host.exists(&path.to_string_lossy()));
            let space = host.space(there.unwrap_or(Path::new("/")))?;
            let row = needed.entry(space.file_system).or_insert((space.free, 0, path));
            row.1 += bytes * 2;
        }
        match needed.into_values().find(|(free, needed, _)| free < needed) {
            None => Ok(()),
            Some((free, needed, path)) => {
                let path = path.display();
                let (free, needed) = (free >> 20, (needed >> 20) + 1);
                let why = format!("{free} MiB are free at {path}, and {needed} are needed");
                Err(unfit(&self.backup.id, why, format!("df -h {path}")))
            }
        }
    }

    /// Refuses to put it under an authentik that would not understand it, or that it would not.
    ///
    /// # Errors
    /// With the version to install first.
    pub fn refuse_version(&self, settings: &Settings) -> Result<()> {
        let made_by = self.manifest.authentik.migrated_by.as_ref();
        let made_by = made_by.unwrap_or(&self.manifest.authentik.version);
        match release::compare(&settings.version, made_by) {
            Step::Same | Step::Patch => Ok(()),
            Step::Older | Step::OtherLine => Err(unfit(
                &self.backup.id,
                format!("it is of authentik {made_by}, and {} is to run here", settings.version),
                format!(
                    "restore it with its own settings, or install that version first: \
                     authentik-install install --version {made_by}"
                ),
            )),
        }
    }

    /// What is going to be laid out, and where.
    ///
    /// # Errors
    /// With [`Exit::Unfit`] if a folder cannot be exchanged.
    pub fn planned(
        &self,
        host: &Reader,
        settings: &Settings,
        wanted: &BTreeSet<What>,
    ) -> Result<Journal> {
        let mut live = Vec::new();
        if wanted.contains(&What::Data) {
            live.extend(places(settings));
        }
        if wanted.contains(&What::Config) {
            let there = self.holds(super::settings::TREE).then_some(settings.paths.etc.as_path());
            let here = source::elsewhere(settings).map(|(dir, _)| dir);
            if let Some(dir) = here.or(there) {
                let why = "the settings are not in /etc/authentik, which is what is exchanged";
                let next = "restore database and data alone: --only database,data".to_owned();
                return Err(unfit(&dir.display().to_string(), why.to_owned(), next));
            }
            live.push(("etc", settings.paths.etc.clone()));
        }
        let mut folders = Vec::new();
        for (name, live) in live.into_iter().filter(|(name, _)| self.holds(name)) {
            self.refuse_mounts(host, &live)?;
            folders.push(Folders { tree: name.to_owned(), other: beside(&live), live, inode: 0 });
        }
        Ok(Journal {
            format: 1,
            backup: self.backup.id.clone(),
            safety: None,
            time: Timestamp::now(),
            databases: wanted.contains(&What::Database).then(|| names(settings)),
            folders,
            runs: false,
            committing: false,
        })
    }

    /// Folders of authentik that it does not hold.
    pub fn lacks(&self, settings: &Settings) -> Vec<PathBuf> {
        let lacking = places(settings).into_iter().filter(|(name, _)| !self.holds(name));
        lacking.map(|(_, path)| path).collect()
    }

    pub(super) fn holds(&self, tree: &str) -> bool {
        self.manifest.trees.iter().any(|known| known.name == tree)
    }

    // A folder takes another one's place by its name; what is mounted stays where it is.
    fn refuse_mounts(&self, host: &Reader, live: &Path) -> Result<()> {
        match host.mounts_in(live)?.first() {
            None => Ok(()),
            Some(mount) => Err(unfit(
                &live.display().to_string(),
                format!(
                    "a file system is mounted on {}, which cannot be exchanged for a folder",
                    mount.display()
                ),
                format!(
                    "mount it one level higher, or restore by hand: {}/RESTORE.txt",
                    self.backup.path.display()
                ),
            )),
        }
    }

    /// Lays out the restored database and folders beside those that are there.
    ///
    /// # Errors
    /// If the backup is not what it says, or there is no room. What was laid out is removed again.
    pub fn lay_out(
        &self,
        host: &Writer<'_>,
        (settings, server, maps): (&Settings, &Server, &Maps),
        mut journal: Journal,
        told: &dyn Told,
    ) -> Result<Journal> {
        journal.begin(host, server)?;
        let halves = Halves::new(host);
        let Journal { databases, folders, .. } = &mut journal;
        let files = || {
            told.emit(&Event::note("restoring the files beside those that are there"));
            for start in ["data.tar", "config.tar"] {
                let warnings = self.archive(host, start, folders, (maps, &halves))?;
                warnings.into_iter().for_each(|warning| told.emit(&Event::warning(warning)));
            }
            Ok(())
        };
        let database = || match databases {
            None => Ok(()),
            Some(Databases { new, .. }) => {
                told.emit(&Event::note(format!("restoring the database as {new}")));
                self.database(host, (settings, server), (new, &halves), told)
            }
        };
        match halves.both(files, database) {
            Ok(_) => Ok(journal),
            Err(failure) => Err(failure.tidied(Journal::sweep(&host.undisturbed(), server))),
        }
    }

    fn database(
        &self,
        host: &Writer<'_>,
        (settings, server): (&Settings, &Server),
        (name, halves): (&str, &Halves<'_>),
        told: &dyn Told,
    ) -> Result<()> {
        let role = settings.database.user.as_str();
        self.fill(host, server, (name, role), halves)?;
        let session = host.hold_still(server, name)?;
        let session = session.ok_or_else(|| Failure::new("looking at", name, "it is gone"))?;
        let rows: BTreeMap<String, u64> = host.ask_still(&session, source::ROWS)?;
        drop(session);
        if rows != self.manifest.postgresql.rows {
            return Err(super::damaged("db.dump", "not all rows came back"));
        }
        // Autovacuum does it later where it cannot be done now.
        if let Err(failure) = host.sql_at_length(server, name, "ANALYZE") {
            told.emit(&Event::warning(failure.to_string()));
        }
        Ok(())
    }

    // The trees of one archive that are wanted.
    fn archive(
        &self,
        host: &Writer<'_>,
        start: &str,
        folders: &mut [Folders],
        (maps, halves): (&Maps, &Halves<'_>),
    ) -> Result<Vec<String>> {
        let mut nests = Nests::new();
        for folder in folders {
            if source::trees(start).contains(&folder.tree.as_str()) {
                nests.insert(folder.tree.clone(), host.nest(&folder.other)?);
                folder.inode = host.inode(&folder.other)?.unwrap_or(0);
            }
        }
        match nests.is_empty() {
            true => Ok(Vec::new()),
            false => self.unpack(start, &nests, Some(maps), halves),
        }
    }
}

/// Empties the database that authentik has in Valkey: what is kept there is of rows that may be gone.
///
/// # Errors
/// If Valkey does not take it.
pub fn empty_cache(host: &Writer<'_>, settings: &Settings) -> Result<()> {
    let found = facts::cache::look(host, settings)?;
    let Some(Cache { socket: Some((socket, _)), database: Some(database), guard, .. }) = found
    else {
        return Ok(());
    };
    let file = host.read(&settings.paths.secret("cache_password"))?;
    let password = file
        .filter(|_| !matches!(guard, Guard::Open { .. }))
        .and_then(|file| Secret::from_file_bytes(&file.bytes).ok());
    let address = Address::Socket(socket);
    host.empty_valkey(&address, password.as_ref(), database)
        .map_err(|refusal| refusal.failure(&address))
}

fn beside(live: &Path) -> PathBuf {
    let mut name = live.as_os_str().to_owned();
    name.push(".restore");
    name.into()
}

fn names(settings: &Settings) -> Databases {
    let live = settings.database.name.to_string();
    // PostgreSQL cuts names at 63 bytes.
    let stem: String = live.chars().take(48).collect();
    Databases { new: format!("{stem}_restore_new"), old: format!("{stem}_restore_old"), live }
}
