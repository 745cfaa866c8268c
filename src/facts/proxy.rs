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
    let (site, import) = place(&text, &caddy.caddyfile);
    Ok(Some(Proxy { caddy, site, import }))
}

fn place(caddyfile: &str, path: &Path) -> (PathBuf, Option<String>) {
    let dir = path.parent().unwrap_or(Path::new("/etc/caddy"));
    if let Some(site) = imported_folder(&block::remove(caddyfile), dir) {
        return (site, None);
    }
    let own = dir.join("authentik.d");
    (own.join("authentik.caddyfile"), Some(format!("import {}/*.caddyfile", own.display())))
}

// A folder that the Caddyfile imports whole, at the top level, into which a file of ours fits.
fn imported_folder(text: &str, dir: &Path) -> Option<PathBuf> {
    // In a heredoc, or in quotes over several lines, an import is none.
    let open_quotes = |line: &str| line.matches('"').count() % 2 == 1;
    if text.contains("<<") || text.contains('`') || text.lines().any(open_quotes) {
        return None;
    }
    let mut depth = 0_i32;
    for line in text.lines() {
        let words: Vec<&str> = line.split('#').next()?.split_whitespace().collect();
        if let (0, ["import", pattern]) = (depth, words.as_slice()) {
            let pattern = dir.join(pattern);
            let folder = pattern.parent()?;
            let name = pattern.file_name()?.to_str()?;
            let extension = match name.strip_prefix('*') {
                Some("") => Some(".caddyfile"),
                Some(rest) if rest.starts_with('.') && !rest.contains('*') => Some(rest),
                _ => None,
            };
            if let (Some(extension), false) = (extension, folder.to_string_lossy().contains('*')) {
                return Some(folder.join(format!("authentik{extension}")));
            }
        }
        for word in words {
            depth += i32::from(word == "{") - i32::from(word == "}");
            depth += i32::from(word.len() > 1 && word.ends_with('{') && !word.contains('}'));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> (String, bool) {
        let (site, import) = place(text, Path::new("/etc/caddy/Caddyfile"));
        (site.display().to_string(), import.is_some())
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
