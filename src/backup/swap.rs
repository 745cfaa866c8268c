//! The moment of a restore: what was restored beside the installation takes its place, all of it or
//! nothing, whatever happens meanwhile.
//!
//! A journal says what is swapped. As long as it lies at [`Journal::SWAPPING`] the units of the pod do
//! not start (`ConditionPathExists`), so that nothing runs on half of the one and half of the other.
//! Each step looks first whether it is done already, in both directions.

use crate::error::{Exit, Failure, Result};
use crate::host::files::{Perms, Put};
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A database and the one that takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Databases {
    /// Name that authentik uses.
    pub live: String,
    /// Restored under this name.
    pub new: String,
    /// What was live is kept under this name.
    pub old: String,
}

/// A folder and the one that takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    /// Name of the tree in the backup.
    pub tree: String,
    /// Where authentik has it.
    pub live: PathBuf,
    /// Restored here; what was live is here afterwards.
    pub other: PathBuf,
    /// The restored one's number on its file system: whoever has it is the restored one.
    pub inode: u64,
}

/// What is swapped for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Number of this shape.
    pub format: u32,
    /// The backup that was restored.
    pub backup: String,
    /// The backup that was made of what was there before, if there was something.
    pub safety: Option<String>,
    /// When (UTC).
    pub time: Timestamp,
    /// Databases.
    pub databases: Option<Databases>,
    /// Folders.
    pub folders: Vec<Folders>,
    /// What was restored has come to run.
    #[serde(default)]
    pub runs: bool,
    /// What was there before is being thrown away: there is no way back.
    #[serde(default)]
    pub committing: bool,
}

impl Journal {
    /// Here while it is laid out: what it names was not there before.
    const LAYING_OUT: &'static str = "/var/lib/authentik-install/laying-out.json";
    /// Here while it is swapped. In the folder that the service user can look into, and not change.
    pub const SWAPPING: &'static str = "/var/lib/authentik/restore.json";
    /// Here from then on, until it is committed or undone.
    pub const SWAPPED: &'static str = "/var/lib/authentik-install/restored.json";
    /// Here from the first restore onto a host on which nothing is installed, until one is committed, or
    /// somebody installs: what is laid out is empty, and nothing that could be lost.
    const EMPTY: &'static str = "/var/lib/authentik-install/empty";

    /// The journal of a restore that was stopped half-way.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn half_way(host: &Reader) -> Result<Option<Self>> {
        read(host, Journal::SWAPPING)
    }

    /// The journal of a restore that came to its end, and is not committed yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn uncommitted(host: &Reader) -> Result<Option<Self>> {
        read(host, Journal::SWAPPED)
    }

    /// Notes that nothing was here before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_empty(host: &Writer<'_>) -> Result<()> {
        let path = Path::new(Journal::EMPTY);
        match path.parent() {
            Some(dir) if host.stat(dir)?.is_none() => host.create_dir(dir, Perms::root(0o755))?,
            _ => {}
        }
        host.put(path, b"", Perms::root(0o600), Put::Replace)
    }

    /// Was nothing here before?
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn was_empty(host: &Reader) -> Result<bool> {
        Ok(host.stat(Path::new(Journal::EMPTY))?.is_some())
    }

    /// What is here from now on is somebody's, unless a restore still waits to be committed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn no_longer_empty(host: &Writer<'_>) -> Result<()> {
        match Journal::uncommitted(host)? {
            Some(_) => Ok(()),
            None => host.remove(Path::new(Journal::EMPTY)),
        }
    }

    /// Refuses to change, or to back up, an installation of two halves.
    ///
    /// # Errors
    /// With [`Exit::Unfit`] if a restore was stopped half-way.
    pub fn refuse_half_way(host: &Reader) -> Result<()> {
        match Journal::half_way(host)? {
            None => Ok(()),
            Some(journal) => {
                let why = "it was stopped half-way, so half of what is here is the old";
                Err(Failure::new("looking at the restore of", journal.backup, why)
                    .next("authentik-install restore --abort")
                    .exit(Exit::Unfit))
            }
        }
    }

    /// Refuses names that something else has already.
    ///
    /// # Errors
    /// With [`Exit::Unfit`] if so. Nothing was touched.
    pub fn refuse_taken(&self, host: &Reader, server: &Server) -> Result<()> {
        if host.read(Path::new(Journal::LAYING_OUT))?.is_some() {
            // They are those of a run that was killed, and go.
            return Ok(());
        }
        let taken = |what: String, next: String| {
            let why = "it is there already, and not of a restore that is known here";
            Err(Failure::new("laying out a restore as", what, why).next(next).exit(Exit::Unfit))
        };
        for name in self.databases.iter().flat_map(|names| [&names.new, &names.old]) {
            if exists(host, server, name)? {
                let next = format!("rename it: psql -c 'ALTER DATABASE {name} RENAME TO …'");
                return taken(format!("the database {name}"), next);
            }
        }
        for Folders { other, .. } in &self.folders {
            if host.stat(other)?.is_some() {
                return taken(other.display().to_string(), format!("ls -la {}", other.display()));
            }
        }
        Ok(())
    }

    /// Writes down what is going to be laid out.
    ///
    /// # Errors
    /// If it cannot be written, or a name is taken.
    pub fn begin(&self, host: &Writer<'_>, server: &Server) -> Result<()> {
        Journal::sweep(host, server)?;
        self.refuse_taken(host, server)?;
        self.write(host, Journal::LAYING_OUT)
    }

    /// Databases that were laid out and never came to their swap.
    ///
    /// # Errors
    /// If what was laid out cannot be read.
    pub fn laid_out(host: &Reader) -> Result<Vec<String>> {
        let left = read(host, Journal::LAYING_OUT)?.and_then(|journal| journal.databases);
        Ok(left.into_iter().flat_map(|names| [names.new, names.old]).collect())
    }

    /// Removes what was laid out and never came to its swap.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn sweep(host: &Writer<'_>, server: &Server) -> Result<()> {
        if let Some(left) = read(host, Journal::LAYING_OUT)? {
            left.throw_away(host, server)?;
        }
        host.remove(Path::new(Journal::LAYING_OUT))
    }

    /// Where a file of the old installation is, if its folder is exchanged already.
    pub fn settings_elsewhere(&self, path: &Path) -> PathBuf {
        let moved = self.folders.iter().find_map(|folders| {
            path.strip_prefix(&folders.live).ok().map(|rest| folders.other.join(rest))
        });
        moved.unwrap_or_else(|| path.to_owned())
    }

    fn write(&self, host: &Writer<'_>, path: &str) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new("writing", path, error.to_string()))?;
        host.put(Path::new(path), &text, Perms::root(0o600), Put::Replace)
    }

    /// Says that it is going to be swapped; from now on the units do not start.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn announce(&self, host: &Writer<'_>) -> Result<()> {
        self.write(host, Journal::SWAPPING)?;
        host.remove(Path::new(Journal::LAYING_OUT))
    }

    /// Swaps everything, the pod being stopped.
    ///
    /// # Errors
    /// If a step fails; [`Journal::back`] then leads to where it began.
    pub fn forth(&self, host: &Writer<'_>, server: &Server) -> Result<()> {
        if let Some(databases) = &self.databases {
            databases.forth(host, server)?;
        }
        for folders in &self.folders {
            if !folders.is_swapped(host)? {
                host.exchange(&folders.live, &folders.other)?;
            }
        }
        self.write(host, Journal::SWAPPED)?;
        host.remove(Path::new(Journal::SWAPPING))
    }

    /// Swaps back whatever is swapped, the pod being stopped.
    ///
    /// # Errors
    /// If a step fails. It can be begun again.
    pub fn back(&self, host: &Writer<'_>, server: &Server) -> Result<()> {
        if host.stat(Path::new(Journal::SWAPPING))?.is_none() {
            self.write(host, Journal::SWAPPING)?;
        }
        host.remove(Path::new(Journal::LAYING_OUT))?;
        if let Some(databases) = &self.databases {
            databases.back(host, server)?;
        }
        for folders in &self.folders {
            if folders.is_swapped(host)? {
                host.exchange(&folders.live, &folders.other)?;
            }
        }
        self.throw_away(host, server)?;
        host.remove(Path::new(Journal::SWAPPED))?;
        host.remove(Path::new(Journal::SWAPPING))
    }

    /// Notes that what was restored has come to run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn came_to_run(self, host: &Writer<'_>) -> Result<Self> {
        let journal = Journal { runs: true, ..self };
        journal.write(host, Journal::SWAPPED)?;
        Ok(journal)
    }

    /// Does what it names to be swapped lack something here?
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn lacks_some(&self, host: &Reader, server: &Server) -> Result<bool> {
        if let Some(names) = &self.databases
            && !exists(host, server, &names.live)?
        {
            return Ok(true);
        }
        for folders in &self.folders {
            if host.stat(&folders.live)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Throws away what was there before. From the first moment there is no way back, but one on.
    ///
    /// # Errors
    /// If a step fails. It can be begun again.
    pub fn commit(self, host: &Writer<'_>, server: &Server) -> Result<()> {
        Journal { committing: true, ..self.clone() }.write(host, Journal::SWAPPED)?;
        self.throw_away(host, server)?;
        host.remove(Path::new(Journal::SWAPPED))?;
        host.remove(Path::new(Journal::EMPTY))
    }

    // What lies under the other names: after a commit the old, after going back the restored.
    fn throw_away(&self, host: &Writer<'_>, server: &Server) -> Result<()> {
        if let Some(Databases { new, old, .. }) = &self.databases {
            for name in [new, old] {
                drop_database(host, server, name)?;
            }
        }
        self.folders.iter().try_for_each(|folders| host.remove_tree(&folders.other))
    }
}

fn read(host: &Reader, path: &str) -> Result<Option<Journal>> {
    let Some(file) = host.read(Path::new(path))? else { return Ok(None) };
    serde_json::from_slice(&file.bytes).map(Some).map_err(|error| {
        Failure::new("reading the journal of a restore", path, error.to_string())
            .next("authentik-install doctor")
    })
}

/// Drops a database that nobody is to be connected to; that it is gone already is fine.
///
/// # Errors
/// If the server says no.
fn drop_database(host: &Writer<'_>, server: &Server, name: &str) -> Result<()> {
    host.sql_at_length(server, "postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
}

fn exists(host: &Reader, server: &Server, name: &str) -> Result<bool> {
    let sql = format!("SELECT to_json(count(*) > 0) FROM pg_database WHERE datname = '{name}'");
    Ok(host.query(server, "postgres", &sql)? == Some(true))
}

// In one transaction: at no moment is there none of the name, or a half of each.
fn rename(host: &Writer<'_>, server: &Server, moves: [(&str, &str); 2], open: &str) -> Result<()> {
    let names = moves.map(|(from, _)| from);
    let mut sql = String::new();
    for name in names {
        sql.push_str(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false;\n"));
    }
    let [first, second] = names;
    sql.push_str(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('{first}', '{second}');\nBEGIN;\n"
    ));
    for (from, to) in moves {
        sql.push_str(&format!("ALTER DATABASE {from} RENAME TO {to};\n"));
    }
    sql.push_str(&format!("ALTER DATABASE {open} WITH ALLOW_CONNECTIONS true;\nCOMMIT;\n"));
    host.sql(server, "postgres", &sql)
}

impl Databases {
    fn forth(&self, host: &Writer<'_>, server: &Server) -> Result<()> {
        let Databases { live, new, old } = self;
        // One transaction gives both names away: with the new one gone, it is done.
        match exists(host, server, new)? {
            false => Ok(()),
            true => rename(host, server, [(live, old), (new, live)], live),
        }
    }

    fn back(&self, host: &Writer<'_>, server: &Server) -> Result<()> {
        let Databases { live, new, old } = self;
        if exists(host, server, old)? {
            return rename(host, server, [(live, new), (old, live)], live);
        }
        if !exists(host, server, live)? {
            return Ok(());
        }
        // Killed between the closing and the renaming.
        let open = format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS true");
        host.sql(server, "postgres", &open)
    }
}

impl Folders {
    fn is_swapped(&self, host: &Reader) -> Result<bool> {
        Ok(host.inode(&self.live)? == Some(self.inode))
    }
}
