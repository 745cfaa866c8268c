//! A backup that is read: its archives opened, and what they hold compared with what the manifest
//! says, wherever it goes.

use super::Halves;
use super::manifest::{Manifest, Part};
use super::owner::Maps;
use super::part::{Source, copy};
use super::shelf::Shelved;
use super::source;
use super::unpack::{Nests, unpack};
use crate::data::postgresql::locale_clause;
use crate::error::{Failure, Result};
use crate::host::postgres::Server;
use crate::host::store::open_trusted;
use crate::host::{Reader, Writer};
use std::collections::BTreeSet;
use std::io;

/// Private keys.
pub type Identities = Vec<Box<dyn age::Identity + Send + Sync>>;

/// A backup, and the keys to it.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "keys are not to be printed")]
pub struct Chosen<'c> {
    /// The backup.
    pub backup: &'c Shelved,
    /// What it says of itself.
    pub manifest: &'c Manifest,
    /// Private keys.
    pub identities: &'c Identities,
}

impl Chosen<'_> {
    pub(super) fn open(&self, start: &str) -> Result<(Source, &Part)> {
        let part = self.manifest.part(start);
        let part = part.ok_or_else(|| super::damaged(start, "it is not in the manifest"))?;
        let file = open_trusted(&self.backup.path.join(&part.name))?;
        Ok((Source::new(&part.name, file, self.identities)?, part))
    }

    // Extensions that root of the database alone may add, and so are there before the dump is loaded.
    fn extensions(&self, host: &Writer<'_>, server: &Server, database: &str) -> Result<bool> {
        let sql = "SELECT coalesce(json_agg(DISTINCT name), '[]')
            FROM pg_available_extension_versions WHERE superuser AND NOT trusted";
        let closed: Option<BTreeSet<String>> = host.query(server, "postgres", sql)?;
        let closed = closed.unwrap_or_default();
        let wanted =
            self.manifest.postgresql.extensions.keys().filter(|name| closed.contains(*name));
        let sql: String = wanted
            .map(|name| format!("CREATE EXTENSION \"{}\" CASCADE;\n", name.replace('"', "\"\"")))
            .collect();
        if !sql.is_empty() {
            host.sql(server, database, &sql)?;
        }
        Ok(!sql.is_empty())
    }

    /// Makes a database and fills it with what was dumped.
    pub(super) fn fill(
        &self,
        host: &Writer<'_>,
        server: &Server,
        (database, role): (&str, &str),
        halves: &Halves<'_>,
    ) -> Result<()> {
        let create = format!(
            "CREATE DATABASE {database} OWNER {role} TEMPLATE template0 ENCODING 'UTF8' {}",
            locale_clause(server.major())
        );
        host.sql_at_length(server, "postgres", &create)?;
        // The role owns none of them, and so may not say anything about them.
        let silent = self.extensions(host, server, database)?;
        let (mut source, part) = self.open("db.dump")?;
        host.load_dump(server, (database, role, silent), move |mut pipe| {
            let copied = copy(&mut source, &mut pipe, |_| halves.go_on());
            copied.map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::new("restoring", "the dump", error),
                _ if halves.go_on().is_err() => Failure::new("restoring", "the dump", error),
                _ => super::damaged("db.dump", error.to_string()),
            })?;
            source.end_as(part, |_| halves.go_on())
        })
    }

    /// Reads all of it as a restore will, and keeps nothing.
    ///
    /// # Errors
    /// With the first thing that a restore would end at.
    pub(super) fn look_through(&self, host: &Reader) -> Result<()> {
        let (halves, nowhere) = (Halves::new(host), Nests::new());
        let archive = |start| self.unpack(start, &nowhere, None, &halves).map(drop);
        let files = || ["data.tar", "config.tar"].into_iter().try_for_each(archive);
        let dump = || {
            let (source, part) = self.open("db.dump")?;
            source.end_as(part, |_| halves.go_on())
        };
        halves.both(files, dump).map(drop)
    }

    /// Unpacks an archive into the folders of its trees; see [`unpack`].
    pub(super) fn unpack(
        &self,
        start: &str,
        nests: &Nests,
        maps: Option<&Maps>,
        halves: &Halves<'_>,
    ) -> Result<Vec<String>> {
        let (mut source, part) = self.open(start)?;
        let trees = source::trees(start);
        let warnings = unpack(&mut source, (self.manifest, trees), nests, maps, halves)?;
        source.end_as(part, |_| halves.go_on()).map(|()| warnings)
    }
}
