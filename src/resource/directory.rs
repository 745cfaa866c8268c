//! A folder with owner and mode.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::{Meta, Perms};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use rustix::fs::FileType;
use std::path::{Path, PathBuf};

/// Owner and mode as they should be: in words always, in numbers once they are known.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// `None` while the owner does not exist yet.
    pub perms: Option<Perms>,
    /// As in `root:authentik`.
    pub owner: String,
    /// Permission bits.
    pub mode: u32,
}

impl Wanted {
    /// Root's.
    pub fn root(mode: u32) -> Self {
        Wanted { perms: Some(Perms::root(mode)), owner: "root:root".into(), mode }
    }
}

impl Wanted {
    /// What to do about something that is there: `act` if it is ours and differs, nothing if it
    /// fits or its owner is not known yet.
    pub fn mend<A>(&self, act: A, path: &Path, now: Perms, standing: &Standing) -> Verdict<A> {
        let Some(wanted) = self.perms.filter(|wanted| *wanted != now) else {
            return Verdict::Converged;
        };
        let path = path.display();
        if *standing == Standing::Unclaimed {
            let Perms { uid, gid, mode } = wanted;
            return Verdict::foreign(
                format!("{path} was there before and is {now}, not {self}"),
                format!("chown {uid}:{gid} {path} && chmod {mode:o} {path}"),
            );
        }
        Verdict::of(vec![Planned::change(act, format!("set {path} from {now} to {self}"))])
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:04o}", self.owner, self.mode)
    }
}

/// A folder.
#[derive(Debug)]
pub struct Directory {
    /// Where.
    pub path: PathBuf,
    /// Owner and mode.
    pub wanted: Wanted,
    /// What must be there before its owner is known.
    pub owner: Id,
    /// What one that somebody else made must be like.
    pub demand: Demand,
}

/// What a folder that somebody else made must be like to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// As wanted.
    Exact,
    /// The service user can read it.
    Readable,
    /// The service user can pass through it.
    Passable,
}

impl Directory {
    /// The name of the folder at this path as a resource.
    pub fn id_of(path: &Path) -> Id {
        Id::new("directory", path.display())
    }

    /// A folder that must be exactly as wanted, whoever made it.
    pub fn new(path: &Path, wanted: Wanted, owner: Id) -> Self {
        Directory { path: path.to_owned(), wanted, owner, demand: Demand::Exact }
    }

    /// With a weaker demand on what somebody else made.
    #[must_use]
    pub fn demand(self, demand: Demand) -> Self {
        Directory { demand, ..self }
    }

    fn will_do(&self, perms: Perms) -> bool {
        let others = |bits| perms.mode & bits == bits;
        let group = self.wanted.perms.is_some_and(|wanted| wanted.gid == perms.gid);
        match self.demand {
            Demand::Exact => false,
            Demand::Readable => others(0o005) || (group && others(0o050)),
            Demand::Passable => others(0o001) || (group && others(0o010)),
        }
    }
}

/// What is there.
#[derive(Debug)]
pub struct Found {
    meta: Option<Meta>,
    /// Root's and empty: a mount point, or made by hand to be used.
    vacant: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// It is missing.
    Create,
    /// Owner or mode differ.
    Perms,
}

impl Resource for Directory {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Directory::id_of(&self.path)
    }

    fn aim(&self) -> String {
        format!("set {} to {}", self.path.display(), self.wanted)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        let meta = host.stat(&self.path)?;
        if meta.is_some() && self.wanted.perms.is_none() {
            return Ok(Seen::After(self.owner.clone()));
        }
        let vacant = meta.as_ref().is_some_and(|meta| meta.perms.uid == 0)
            && host.is_empty_dir(&self.path)?;
        Ok(Seen::Now(Found { meta, vacant }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let path = self.path.display();
        let Some(meta) = &found.meta else {
            return Verdict::of(vec![Planned::create(
                Act::Create,
                format!("create {path} ({})", self.wanted),
            )]);
        };
        if meta.kind != FileType::Directory {
            return Verdict::foreign(
                format!("{path} exists and is not a folder"),
                format!("look at it (ls -ld {path}) and move it away"),
            );
        }
        match self.wanted.mend(Act::Perms, &self.path, meta.perms, standing) {
            Verdict::Foreign { .. } if self.will_do(meta.perms) => Verdict::Converged,
            Verdict::Foreign { .. } if found.vacant => {
                let text = format!("set the empty folder {path} to {}", self.wanted);
                Verdict::of(vec![Planned::change(Act::Perms, text)])
            }
            verdict => verdict,
        }
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let perms = self.wanted.perms.unwrap_or(Perms::root(0o700));
        match act {
            Act::Create => host.create_dir(&self.path, perms),
            Act::Perms => host.set_perms(&self.path, perms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(kind: FileType, mode: u32) -> Option<Meta> {
        Some(Meta { kind, perms: Perms::root(mode), bytes: 0, modified: 0 })
    }

    #[test]
    fn what_others_made_is_not_touched() {
        let dir = Directory::new(Path::new("/x"), Wanted::root(0o755), Id::new("user", "a"));
        let ours = Standing::Claimed(Mark::default());
        let is = |meta, standing: &Standing| dir.diff(&Found { meta, vacant: false }, standing);
        assert!(matches!(is(None, &Standing::Unclaimed), Verdict::Change(_)));
        assert!(matches!(
            is(meta(FileType::Directory, 0o755), &Standing::Unclaimed),
            Verdict::Converged
        ));
        assert!(matches!(
            is(meta(FileType::Directory, 0o700), &Standing::Unclaimed),
            Verdict::Foreign { .. }
        ));
        assert!(matches!(is(meta(FileType::Directory, 0o700), &ours), Verdict::Change(_)));
        assert!(matches!(is(meta(FileType::Symlink, 0o777), &ours), Verdict::Foreign { .. }));
        let closed = || meta(FileType::Directory, 0o711);
        let empty = Found { meta: closed(), vacant: true };
        assert!(matches!(dir.diff(&empty, &Standing::Unclaimed), Verdict::Change(_)));
        let dir = dir.demand(Demand::Passable);
        let is = |meta| dir.diff(&Found { meta, vacant: false }, &Standing::Unclaimed);
        assert!(matches!(is(closed()), Verdict::Converged));
        assert!(matches!(is(meta(FileType::Directory, 0o700)), Verdict::Foreign { .. }));
    }
}
