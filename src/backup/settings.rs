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
        let text = |(row, bytes): (&FileRow, Vec<u8>)| {
            let name = match (row.path.strip_prefix("etc/"), row.tree() == TREE) {
                // There are none in etc then that count.
                (_, true) => INSTALL_TOML,
                (Some(INSTALL_TOML), _) if self.holds(TREE) => return None,
                (Some(name), _) => name,
                (None, _) => return None,
            };
            let wanted = name == INSTALL_TOML || name.starts_with("secrets/");
            let text = String::from_utf8(bytes).ok().filter(|_| wanted)?;
            Some((name.to_owned(), Secret::new(text)))
        };
        Ok(self.settings_files()?.into_iter().filter_map(text).collect())
    }

    /// Puts back what the administrator has put among the settings and nothing makes anew, where nothing of
    /// that name is; and says what could not be put back as it was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn complete_settings(
        &self,
        host: &Writer<'_>,
        settings: &Settings,
        maps: &Maps,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let files: BTreeMap<&str, Vec<u8>> = self
            .settings_files()?
            .into_iter()
            .map(|(row, bytes)| (row.path.as_str(), bytes))
            .collect();
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
            match (row.kind, files.get(row.path.as_str())) {
                (RowKind::Folder, _) => host.create_dir(&path, perms)?,
                (RowKind::File, Some(bytes)) => host.put(&path, bytes, perms, Put::New)?,
                (RowKind::File | RowKind::Link, _) => {
                    warnings.push(format!("{}: it is in config.tar, and not here", path.display()));
                    continue;
                }
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

    // Small files of the folders that hold settings.
    fn settings_files(&self) -> Result<Vec<(&FileRow, Vec<u8>)>> {
        let (mut source, part) = self.open("config.tar")?;
        let broken = |error: io::Error| super::damaged("config.tar", error.to_string());
        let rows: BTreeMap<&str, &FileRow> =
            self.manifest.files.iter().map(|row| (row.path.as_str(), row)).collect();
        let mut found = Vec::new();
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
            found.push((*row, bytes));
        }
        source.end_as(part, |_| Ok(())).map(|()| found)
    }
}
