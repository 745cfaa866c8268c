//! Settings and secrets that a backup holds, and what lies beside them.

use super::chosen::Chosen;
use super::manifest::{FileRow, RowKind};
use super::owner::Maps;
use super::pack::LENDS;
use crate::error::Result;
use crate::host::Writer;
use crate::host::files::{Perms, Put};
use crate::secret::Secret;
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// Bytes; a file of settings is far smaller.
const LARGEST: u64 = 1 << 20;
/// Their name.
pub const INSTALL_TOML: &str = "install.toml";
/// The tree that they are in where `etc` does not hold them.
pub(super) const TREE: &str = "settings";

impl Chosen<'_> {
    /// Settings and secrets, by their names below `/etc/authentik`; other files there are none of ours
    /// to understand.
    ///
    /// # Errors
    /// If the archive is broken.
    pub fn config(&self) -> Result<BTreeMap<String, Secret>> {
        let mut files = self.settings_files()?;
        let mut texts = BTreeMap::new();
        let rows = self.manifest.files.iter().filter(|row| row.kind == RowKind::File);
        for (name, row) in rows.filter_map(|row| Some((self.name_of(row)?, row))) {
            let bytes = files.remove(row.path.as_str());
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
                super::damaged("config.tar", format!("{name} is no file of settings"))
            })?;
            texts.insert(name.to_owned(), Secret::new(text));
        }
        Ok(texts)
    }

    // What it is called among the settings and secrets, if it is one of them.
    fn name_of<'r>(&self, row: &'r FileRow) -> Option<&'r str> {
        // Where they have a tree of their own, there are none in etc that count.
        if row.tree() == TREE {
            return Some(INSTALL_TOML);
        }
        let name = row.path.strip_prefix("etc/")?;
        let settings = name == INSTALL_TOML && !self.holds(TREE);
        (settings || name.starts_with("secrets/")).then_some(name)
    }

    /// Puts back what the administrator has put among the settings and nothing makes anew, where nothing of
    /// that name is; and says what could not be put back as it was.
    ///
    /// # Errors
    /// If the archive is broken, or what is there cannot be looked at.
    pub fn complete_settings(
        &self,
        host: &Writer<'_>,
        settings: &Settings,
        maps: &Maps,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let files = self.settings_files()?;
        let mut rows: Vec<&FileRow> = self.manifest.files.iter().collect();
        // Folders before what is in them.
        rows.sort_by_key(|row| &row.path);
        for row in rows {
            let Some(name) = row.path.strip_prefix("etc/") else { continue };
            let path = settings.paths.etc.join(name);
            // The password of a first start that is over is not wanted again.
            if path == settings.paths.bootstrap_env || host.stat(&path)?.is_some() {
                continue;
            }
            let (uid, gid) = (maps.users.id(row.owner), maps.groups.id(row.group));
            let mode = row.bits() & !LENDS;
            let perms = Perms { uid: uid.unwrap_or(0), gid: gid.unwrap_or(0), mode };
            let made = match (row.kind, files.get(row.path.as_str())) {
                (RowKind::Folder, _) => host.create_dir(&path, perms),
                (RowKind::File, Some(bytes)) => host.put(&path, bytes, perms, Put::New),
                (RowKind::File | RowKind::Link, _) => {
                    warnings.push(format!("{}: it is in config.tar, and not here", path.display()));
                    continue;
                }
            };
            // A folder that others can write in is none of root's ways: authentik needs nothing of it.
            if let Err(failure) = made {
                warnings.push(failure.to_string());
                continue;
            }
            if uid.is_none() || gid.is_none() {
                warnings
                    .push(format!("{}: its owner means nothing here; root's now", path.display()));
            }
        }
        Ok(warnings)
    }

    /// Is this file among what [`Chosen::complete_settings`] puts back?
    pub fn brings(&self, path: &Path, settings: &Settings) -> bool {
        path.strip_prefix(&settings.paths.etc).is_ok_and(|name| {
            let name = Path::new("etc").join(name);
            self.manifest.files.iter().any(|row| Path::new(&row.path) == name)
        })
    }

    // Small files of the folders that hold settings, by their paths in the archive.
    fn settings_files(&self) -> Result<BTreeMap<&str, Vec<u8>>> {
        let (mut source, part) = self.open("config.tar")?;
        let broken = |error: io::Error| super::damaged("config.tar", error.to_string());
        let rows: BTreeMap<&str, &FileRow> =
            self.manifest.files.iter().map(|row| (row.path.as_str(), row)).collect();
        let mut found = BTreeMap::new();
        let mut archive = tar::Archive::new(&mut source);
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let row = rows.get(path.as_str()).filter(|row| row.kind == RowKind::File);
            let Some(row) = row.filter(|row| ["etc", TREE].contains(&row.tree())) else {
                continue;
            };
            if entry.size() > LARGEST {
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(broken)?;
            found.insert(row.path.as_str(), bytes);
        }
        source.end_as(part, |_| Ok(())).map(|()| found)
    }
}
