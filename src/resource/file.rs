//! A file of ours with this content, owner and mode.

use crate::error::Result;
use crate::event::Sink;
use crate::host::caddy::Caddy;
use crate::host::files::{FileNow, Perms, Put, sha256};
use crate::host::{Reader, Writer};
use crate::resource::directory::Wanted;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict, quadlet, unified};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file.
#[derive(Debug, Clone)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
    /// Owner and mode.
    pub wanted: Wanted,
    /// Who has to accept the content before it is moved into place.
    pub trial: Trial,
}

/// The program that reads a file is asked first whether it understands it.
#[derive(Debug, Clone)]
pub enum Trial {
    /// Nobody.
    None,
    /// Podman's unit generator, with all files that belong together.
    Quadlet(Arc<quadlet::Set>),
    /// Caddy.
    Caddy(Caddy),
}

impl Trial {
    fn pass(&self, host: &Writer<'_>, text: &str) -> Result<()> {
        match self {
            Trial::None => Ok(()),
            Trial::Quadlet(set) => set.pass(host),
            Trial::Caddy(caddy) => host.caddy_adapt_text(caddy, text).map(drop),
        }
    }
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// It is missing.
    Create,
    /// It holds something else; what a person had written there is kept beside it.
    Content {
        /// That.
        edited: Option<FileNow>,
    },
    /// Owner or mode differ.
    Perms,
}

/// Name under which a hand-edited file is kept.
pub fn kept(path: &Path) -> PathBuf {
    aside(path, "edited")
}

// Beside the file; but out of the folder of a site, all of which Caddy may import.
fn aside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    let folder = path.parent().unwrap_or(Path::new("/"));
    match path.extension().is_some_and(|extension| extension == "caddyfile") {
        true => folder.parent().unwrap_or(folder).join(name),
        false => folder.join(name),
    }
}

/// Was a file of ours edited by hand? And what to say of it.
pub fn edit(path: &Path, now: &FileNow, mark: &Mark) -> (bool, String) {
    match mark.0.contains(&now.sha256()) {
        true => (false, String::new()),
        false => {
            (true, format!("; it was edited by hand, that is kept as {}", kept(path).display()))
        }
    }
}

impl File {
    /// The name of the file at this path as a resource.
    pub fn id_of(path: &Path) -> Id {
        Id::new("file", path.display())
    }
}

impl Resource for File {
    type Found = Option<FileNow>;
    type Act = Act;

    fn id(&self) -> Id {
        File::id_of(&self.path)
    }

    fn aim(&self) -> String {
        format!("write {}", self.path.display())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark(vec![sha256(self.text.as_bytes())]))
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        Ok(Seen::Now(host.read(&self.path)?))
    }

    fn diff(&self, found: &Self::Found, standing: &Standing) -> Verdict<Act> {
        let path = self.path.display().to_string();
        let Some(now) = found else {
            return Verdict::of(vec![
                Planned::create(Act::Create, format!("create {path} ({})", self.wanted))
                    .with_diff(unified(&path, "", &self.text)),
            ]);
        };
        let same = now.bytes == self.text.as_bytes();
        let wanted = self.wanted.perms;
        let fits = wanted.is_none_or(|wanted| wanted == now.meta.perms);
        if same && fits {
            return Verdict::Converged;
        }
        let Standing::Claimed(mark) = standing else {
            return Verdict::foreign(
                format!("{path} was there before and is not what is needed"),
                format!(
                    "compare (authentik-install plan --diff), then move it away: mv {path} {}",
                    aside(&self.path, "before").display()
                ),
            );
        };
        if same {
            return Verdict::of(vec![Planned::change(
                Act::Perms,
                format!("set {path} from {} to {}", now.meta.perms, self.wanted),
            )]);
        }
        let (edited, note) = edit(&self.path, now, mark);
        let act = Act::Content { edited: edited.then(|| now.clone()) };
        Verdict::of(vec![Planned::change(act, format!("rewrite {path}{note}")).with_diff(unified(
            &path,
            &String::from_utf8_lossy(&now.bytes),
            &self.text,
        ))])
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let perms = self.wanted.perms.unwrap_or(Perms::root(0o600));
        match act {
            Act::Create => {
                self.trial.pass(host, &self.text)?;
                host.put(&self.path, self.text.as_bytes(), perms, Put::New)
            }
            Act::Content { edited } => {
                self.trial.pass(host, &self.text)?;
                if let Some(now) = edited {
                    host.put(&kept(&self.path), &now.bytes, now.meta.perms, Put::Replace)?;
                }
                host.put(&self.path, self.text.as_bytes(), perms, Put::Replace)
            }
            Act::Perms => host.set_perms(&self.path, perms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::files::Meta;
    use rustix::fs::FileType;

    fn now(text: &str, mode: u32) -> Option<FileNow> {
        let meta =
            Meta { kind: FileType::RegularFile, perms: Perms::root(mode), bytes: 0, modified: 0 };
        Some(FileNow { meta, bytes: text.as_bytes().to_vec(), fixed: false })
    }

    #[test]
    fn what_is_kept_is_not_imported() {
        let name = |path: &str| kept(Path::new(path)).display().to_string();
        assert_eq!(name("/etc/authentik/authentik.env"), "/etc/authentik/authentik.env.edited");
        let site = "/etc/caddy/conf.d/authentik.caddyfile";
        assert_eq!(name(site), "/etc/caddy/authentik.caddyfile.edited");
    }

    #[test]
    fn ours_is_rewritten_edited_is_kept_foreign_is_left() {
        let file = File {
            path: "/x".into(),
            text: "new\n".into(),
            wanted: Wanted::root(0o644),
            trial: Trial::None,
        };
        let ours = Standing::Claimed(Mark(vec![sha256(b"old\n"), sha256(b"new\n")]));
        assert!(matches!(
            file.diff(&now("new\n", 0o644), &Standing::Unclaimed),
            Verdict::Converged
        ));
        assert!(matches!(
            file.diff(&now("old\n", 0o644), &Standing::Unclaimed),
            Verdict::Foreign { .. }
        ));
        match file.diff(&now("old\n", 0o644), &ours) {
            Verdict::Change(changes) => {
                assert!(matches!(changes[0].act, Act::Content { edited: None }))
            }
            other => panic!("{other:?}"),
        }
        match file.diff(&now("by hand\n", 0o644), &ours) {
            Verdict::Change(changes) => {
                assert!(matches!(changes[0].act, Act::Content { edited: Some(_) }))
            }
            other => panic!("{other:?}"),
        }
        match file.diff(&now("new\n", 0o600), &ours) {
            Verdict::Change(changes) => assert!(matches!(changes[0].act, Act::Perms)),
            other => panic!("{other:?}"),
        }
    }
}
