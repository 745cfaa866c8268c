//! An archive back into folders. The manifest says what there is to be; whatever the archive says
//! beside that is refused.

use super::Halves;
use super::access;
use super::manifest::{FileRow, Manifest, RowKind, Sum};
use super::owner::Maps;
use super::pack::LENDS;
use super::part::{Hashing, copy};
use crate::error::{Exit, Failure, Result};
use crate::host::nest::{Dress, Nest, attribute};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path};

/// The folders that trees are unpacked into, by the names of the trees. What is not among them is read
/// and thrown away.
pub(super) type Nests = BTreeMap<String, Nest>;

/// Unpacks the trees that `nests` names, and compares everything with the manifest.
///
/// # Errors
/// With [`Exit::Damaged`] if the archive is broken or holds what it must not.
pub(super) fn unpack(
    archive: impl Read,
    (manifest, trees): (&Manifest, &[&str]),
    nests: &Nests,
    maps: Option<&Maps>,
    halves: &Halves<'_>,
) -> Result<Vec<String>> {
    let rows: BTreeMap<&str, &FileRow> = manifest
        .files
        .iter()
        .filter(|row| trees.contains(&tree_of(&row.path)))
        .map(|row| (row.path.as_str(), row))
        .collect();
    // What was made here is as it was.
    let moved = manifest.maps.as_ref().zip(maps).filter(|(from, to)| from != to);
    let mut seen: BTreeMap<String, Sum> = BTreeMap::new();
    let mut warnings = Vec::new();
    let mut archive = tar::Archive::new(archive);
    let broken = |error: io::Error| super::damaged("archive", error.to_string());
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = name_of(&entry.path_bytes(), trees)?;
        let row = rows.get(path.as_str()).copied();
        fits(&path, entry.header().entry_type(), row)?;
        let sum = one(&mut entry, (&path, row), (nests, moved, halves), &mut warnings)?;
        seen.insert(path, sum);
    }
    for row in rows.values().filter(|row| row.kind == RowKind::File) {
        if seen.get(&row.path) != row.sum.as_ref() {
            let why = "its content is not what the manifest says";
            return Err(super::damaged(&row.path, why));
        }
    }
    // Nobody needs to own what is only compared.
    if let Some(maps) = maps {
        dress(rows.values().copied(), nests, maps, &mut warnings)?;
    }
    Ok(warnings)
}

pub(super) fn tree_of(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn inside(path: &str) -> &Path {
    Path::new(path.split_once('/').map_or("", |(_, rest)| rest))
}

fn hostile(path: &str, why: &str) -> Failure {
    Failure::new("unpacking", path, why)
        .next("this is no archive of ours: do not use it")
        .exit(Exit::Damaged)
}

// The name, if it is one below a tree of this archive.
fn name_of(bytes: &[u8], trees: &[&str]) -> Result<String> {
    let text = String::from_utf8_lossy(bytes).trim_end_matches('/').to_owned();
    // Part by part: `components` passes over empty ones, and over dots in the middle.
    let plain = text.split('/').all(|part| !["", ".", ".."].contains(&part));
    match plain && trees.contains(&tree_of(&text)) {
        true => Ok(text),
        false => Err(hostile(&text, "the name leads out of the folders that are restored")),
    }
}

fn fits(path: &str, kind: tar::EntryType, row: Option<&FileRow>) -> Result<()> {
    let here = match kind {
        tar::EntryType::Regular => RowKind::File,
        tar::EntryType::Directory => RowKind::Folder,
        tar::EntryType::Symlink => RowKind::Link,
        _ => return Err(hostile(path, "it is neither file, folder nor link")),
    };
    match row {
        // Gone while it was backed up, before it could be read again.
        None if here == RowKind::File => Ok(()),
        Some(row) if row.kind == here => match (&row.target, here) {
            (_, RowKind::File) if row.bits() & LENDS != 0 => {
                Err(hostile(path, "it would lend its owner's rights (setuid, setgid)"))
            }
            (Some(target), RowKind::Link) if leads_out(path, target) => {
                Err(hostile(path, "it is a link that leads out of its folder"))
            }
            _ => Ok(()),
        },
        _ => Err(hostile(path, "the manifest says that it is something else")),
    }
}

pub(super) fn leads_out(path: &str, target: &Path) -> bool {
    let mut depth = i64::try_from(inside(path).components().count()).unwrap_or(i64::MAX) - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return true,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

fn one(
    entry: &mut tar::Entry<'_, impl Read>,
    (path, row): (&str, Option<&FileRow>),
    (nests, moved, halves): (&Nests, Option<(&Maps, &Maps)>, &Halves<'_>),
    warnings: &mut Vec<String>,
) -> Result<Sum> {
    let nest = nests.get(tree_of(path)).filter(|_| row.is_some());
    let place = inside(path);
    let is_top = place.as_os_str().is_empty();
    let mut out: Option<File> = None;
    if let (Some(nest), Some(row)) = (nest, row) {
        match (row.kind, &row.target) {
            (RowKind::Folder, _) if !is_top => nest.folder(place)?,
            (RowKind::File, _) => out = Some(nest.file(place)?),
            (RowKind::Link, Some(target)) => nest.link(place, target)?,
            _ => {}
        }
    }
    let fail = |error: io::Error| Failure::new("unpacking", path, error);
    for (name, mut value) in attributes(entry).map_err(fail)? {
        if let (true, Some((from, to))) = (access::is_list(&name), moved) {
            let (list, lost) = access::moved(&value, from, to);
            let lost = lost
                .iter()
                .map(|owner| format!("{path}: {owner} of its access list means nothing here"));
            warnings.extend(lost);
            value = list;
        }
        let set = match (&out, nest, row.map(|row| row.kind)) {
            (Some(file), _, _) => attribute(file, &name, &value),
            (None, Some(nest), Some(RowKind::Folder)) => {
                nest.folder_attribute(place, &name, &value)
            }
            _ => Ok(()),
        };
        match set {
            // The content is worth more than its access list.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                warnings.push(format!("{path}: the file system here keeps no {name}"));
            }
            set => set.map_err(fail)?,
        }
    }
    let mut hashing = Hashing::new(entry);
    match &mut out {
        Some(file) => copy(&mut hashing, file, |_| halves.go_on()).and_then(|_| file.flush()),
        None => copy(&mut hashing, &mut io::sink(), |_| halves.go_on()).map(drop),
    }
    .map_err(fail)?;
    Ok(hashing.end().0)
}

fn attributes(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let extensions = entry.pax_extensions()?.into_iter().flatten().flatten();
    let kept = extensions.filter_map(|extension| {
        let name = extension.key().ok()?.strip_prefix("SCHILY.xattr.")?.to_owned();
        Some((name, extension.value_bytes().to_vec()))
    });
    Ok(kept.collect())
}

// Folders last and deepest first: what is put into one changes its time.
fn dress<'r>(
    rows: impl Iterator<Item = &'r FileRow>,
    nests: &Nests,
    maps: &Maps,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let mut rows: Vec<&FileRow> = rows.collect();
    rows.sort_by_key(|row| (row.kind == RowKind::Folder, std::cmp::Reverse(row.path.clone())));
    for row in rows {
        let Some(nest) = nests.get(tree_of(&row.path)) else { continue };
        let (uid, gid) = (maps.users.id(row.owner), maps.groups.id(row.group));
        if uid.is_none() || gid.is_none() {
            let (owner, group) = (row.owner, row.group);
            warnings
                .push(format!("{}: {owner} and {group} mean nothing here; root's now", row.path));
        }
        let (uid, gid, mode) = (uid.unwrap_or(0), gid.unwrap_or(0), row.bits());
        let dress = Dress { uid, gid, mode, modified: row.modified };
        nest.dress(inside(&row.path), &dress, row.kind == RowKind::Link)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        let trees = ["data"];
        assert_eq!(name_of(b"data/a/b", &trees).unwrap(), "data/a/b");
        for bad in [
            "../etc/passwd",
            "/etc/passwd",
            "data/../x",
            "etc/passwd",
            "data/./../../x",
            "data//etc/passwd",
            "data/./x",
            "",
        ] {
            assert!(name_of(bad.as_bytes(), &trees).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_stay_inside() {
        for (path, target, out) in [
            ("data/a", "b", false),
            ("data/a/b", "../c", false),
            ("data/a", "../etc", true),
            ("data/a/b", "../../etc", true),
            ("data/a", "/etc/passwd", true),
            ("data/a/b", "x/../../../y", true),
        ] {
            assert_eq!(leads_out(path, Path::new(target)), out, "{path} → {target}");
        }
    }
}
