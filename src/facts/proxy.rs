//! Where a site of ours belongs in this host's Caddy.

use crate::error::Result;
use crate::host::Reader;
use crate::host::caddy::Caddy;
use crate::text::block;
use std::path::{Path, PathBuf};

/// Caddy, and the place of our site in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The running Caddy.
    pub caddy: Caddy,
    /// Our site's file.
    pub site: PathBuf,
    /// The line that the Caddyfile needs, unless it imports such a folder already.
    pub import: Option<String>,
}

/// Looks at the Caddyfile. `None`: there is no Caddy.
///
/// # Errors
/// If it cannot be read.
pub fn look(host: &Reader) -> Result<Option<Proxy>> {
    let Some(caddy) = host.caddy()? else { return Ok(None) };
    let text = match host.read(&caddy.caddyfile)? {
        Some(file) => file.text()?,
        None => String::new(),
    };
    let (site, import) = place(&text, &caddy.caddyfile, &|path| Ok(host.stat(path)?.is_some()))?;
    Ok(Some(Proxy { caddy, site, import }))
}

// A site stays where it is, whatever else the Caddyfile imports by now.
fn place(
    caddyfile: &str,
    path: &Path,
    exists: &dyn Fn(&Path) -> Result<bool>,
) -> Result<(PathBuf, Option<String>)> {
    let dir = path.parent().unwrap_or(Path::new("/etc/caddy"));
    let folder = dir.join("authentik.d");
    let own = folder.join("authentik.caddyfile");
    let bare = block::remove(caddyfile);
    let mut into = None;
    if bare == caddyfile {
        let settled = exists(&own)? || is_hard_to_read(&bare);
        for site in imported_folders(&bare, dir) {
            if exists(&site)? {
                return Ok((site, None));
            }
            if into.is_none() && !settled && exists(site.parent().unwrap_or(dir))? {
                into = Some(site);
            }
        }
    }
    Ok(match into {
        Some(site) => (site, None),
        None => (own, Some(format!("import {}/*.caddyfile", folder.display()))),
    })
}

// In a heredoc, or in quotes over several lines, an import is none.
fn is_hard_to_read(text: &str) -> bool {
    let open_quotes = |line: &str| line.matches('"').count() % 2 == 1;
    text.contains("<<") || text.contains('`') || text.lines().any(open_quotes)
}

// In the folders that the Caddyfile imports whole, at the top level, the names that a file of ours has.
fn imported_folders(text: &str, dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut depth = 0_i32;
    for line in text.lines() {
        let words: Vec<&str> =
            line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if let (0, ["import", pattern]) = (depth, words.as_slice()) {
            found.extend(site_in(&dir.join(pattern)));
        }
        for word in words {
            depth += i32::from(word == "{") - i32::from(word == "}");
            depth += i32::from(word.len() > 1 && word.ends_with('{') && !word.contains('}'));
        }
    }
    found
}

fn site_in(pattern: &Path) -> Option<PathBuf> {
    let folder = pattern.parent().filter(|folder| !folder.to_string_lossy().contains('*'))?;
    let extension = match pattern.file_name()?.to_str()?.strip_prefix('*')? {
        "" => ".caddyfile",
        rest if rest.starts_with('.') && !rest.contains('*') => rest,
        _ => return None,
    };
    Some(folder.join(format!("authentik{extension}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site_beside(text: &str, files: &[&str], lacks: &str) -> (String, bool) {
        let exists = |path: &Path| {
            let file = path.to_string_lossy().contains("/authentik.");
            Ok(if file {
                files.iter().any(|file| Path::new(file) == path)
            } else {
                !path.ends_with(lacks)
            })
        };
        let (site, import) = place(text, Path::new("/etc/caddy/Caddyfile"), &exists).unwrap();
        (site.display().to_string(), import.is_some())
    }

    fn site(text: &str) -> (String, bool) {
        site_beside(text, &[], "none")
    }

    #[test]
    fn it_stays_where_it_is() {
        let own = "/etc/caddy/authentik.d/authentik.caddyfile";
        let ours = block::insert("import sites/*\n", &["import x"], block::Place::Last);
        assert_eq!(site_beside(&ours, &[own], "none"), (own.into(), true));
        // Killed before its import was written.
        assert_eq!(site_beside("import sites/*\n", &[own], "none"), (own.into(), true));
        let second = "/etc/caddy/second/authentik.caddyfile";
        let text = "import first/*\nimport second/*\n";
        assert_eq!(site_beside(text, &[second], "none"), (second.into(), false));
        assert_eq!(site_beside(text, &[], "first"), (second.into(), false));
        // Also when the rest becomes hard to read.
        let text = "import second/*\n:80 {\n respond `x`\n}\n";
        assert_eq!(site_beside(text, &[second], "none"), (second.into(), false));
        assert_eq!(site_beside("import authentik.d/*\n", &[own], "none"), (own.into(), false));
    }

    #[test]
    fn an_imported_folder_is_used() {
        let used = |p: &str| (p.to_owned(), false);
        assert_eq!(
            site("import /etc/caddy/conf.d/*\n"),
            used("/etc/caddy/conf.d/authentik.caddyfile")
        );
        assert_eq!(site("import sites/*.caddy\n"), used("/etc/caddy/sites/authentik.caddy"));
        assert_eq!(
            site("{\n\tadmin off\n}\nimport Caddyfile.d/*.caddyfile # all\n"),
            used("/etc/caddy/Caddyfile.d/authentik.caddyfile")
        );
    }

    #[test]
    fn otherwise_one_of_our_own_is() {
        let own = || ("/etc/caddy/authentik.d/authentik.caddyfile".to_owned(), true);
        assert_eq!(site(""), own());
        assert_eq!(site(":80 {\n\timport /etc/caddy/snippets/*\n}\n"), own());
        assert_eq!(site("import common\n"), own());
        assert_eq!(site("import */x/*\n"), own());
        assert_eq!(site(":80 {\n respond <<A\n }\n import d/*\n A 200\n}\n"), own());
        assert_eq!(site(":80 {\n respond \"\n}\nimport d/*\n\"\n}\n"), own());
        let ours =
            block::insert("", &["import /etc/caddy/authentik.d/*.caddyfile"], block::Place::Last);
        assert_eq!(
            site(&ours),
            own(),
            "our own block is no reason to think that nothing is needed"
        );
    }
}
