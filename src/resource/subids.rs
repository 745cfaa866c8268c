//! Subordinate ids: without them a rootless container has one id alone.

use crate::error::Result;
use crate::event::Sink;
use crate::facts::{IMAGE_ID, Ids};
use crate::host::accounts::{SubIdKind, SubIds, free_range};
use crate::host::{Reader, Writer};
use crate::resource::user::User;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;

/// At least 65536 subordinate user and group ids; where they are lost, those that the files of the
/// installation belong to.
#[derive(Debug)]
pub struct Subordinate {
    /// Whose.
    pub user: String,
    /// A folder that belongs to the image's user.
    pub written: PathBuf,
}

const COUNT: u32 = 65_536;
const MIN: u32 = 100_000;
/// Below it are the host's own users.
const LOWEST: u32 = 65_536;

/// A range is given in one of the two files, in the place of what was too small.
#[derive(Debug)]
pub struct Give {
    kind: SubIdKind,
    range: SubIds,
    instead_of: Vec<SubIds>,
}

/// The ranges of both files, and who owns the installation's files.
#[derive(Debug)]
pub struct Ranges {
    users: Vec<SubIds>,
    groups: Vec<SubIds>,
    written: Option<Ids>,
}

impl Subordinate {
    fn owns(&self, range: &SubIds) -> bool {
        range.owner == self.user
    }

    fn range(&self, start: u32) -> SubIds {
        SubIds { owner: self.user.clone(), start, count: COUNT }
    }

    // What there is in one file alone is taken for the other, too.
    fn choose(&self, found: &Ranges, kind: SubIdKind) -> Verdict<Give> {
        let file = kind.path().display();
        let (here, there, written) = match kind {
            SubIdKind::User => (&found.users, &found.groups, found.written.map(|ids| ids.uid)),
            SubIdKind::Group => (&found.groups, &found.users, found.written.map(|ids| ids.gid)),
        };
        let others: Vec<SubIds> =
            here.iter().chain(there).filter(|range| !self.owns(range)).cloned().collect();
        let taken = |start: u32| others.iter().find(|other| overlaps(&self.range(start), other));
        let before =
            written.and_then(|id| id.checked_sub(IMAGE_ID - 1)).filter(|start| *start >= LOWEST);
        if let Some((start, other)) = before.and_then(|start| Some((start, taken(start)?))) {
            let end = start.saturating_add(COUNT - 1);
            return Verdict::foreign(
                format!(
                    "{} belongs to the ids {start}-{end} of {}, which {file} gives to {} now",
                    self.written.display(),
                    self.user,
                    other.owner
                ),
                format!(
                    "give {} another range: man usermod (--del-subuids, --add-subuids), file {file}",
                    other.owner
                ),
            );
        }
        let own = |ranges: &[SubIds]| {
            ranges.iter().find(|range| self.owns(range)).map(|range| range.start)
        };
        let start = [before, own(here), own(there)]
            .into_iter()
            .flatten()
            .find(|start| taken(*start).is_none())
            .or_else(|| free_range(&others, MIN, COUNT));
        let Some(start) = start else {
            return Verdict::foreign(
                format!("no range of {COUNT} ids is free in {file}"),
                format!("take out of {file} what belongs to users that are gone"),
            );
        };
        let instead_of = here.iter().filter(|range| self.owns(range)).cloned().collect();
        let act = Give { kind, range: self.range(start), instead_of };
        let mut text = format!("give {} {COUNT} ids from {start} in {file}", self.user);
        if !act.instead_of.is_empty() {
            text.push_str(" in the place of what it has, and stop its manager for it");
        }
        Verdict::of(vec![Planned::create(act, text)])
    }
}

impl Resource for Subordinate {
    type Found = Ranges;
    type Act = Give;

    fn id(&self) -> Id {
        Id::new("subids", &self.user)
    }

    fn aim(&self) -> String {
        format!("make sure that {} has {COUNT} subordinate ids", self.user)
    }

    fn renews_facts(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Ranges>> {
        // Whose the files are can be told before their user is there.
        let written = host.stat(&self.written)?;
        if written.is_none() && host.account(&self.user)?.is_none() {
            return Ok(Seen::After(User::id_of(&self.user)));
        }
        Ok(Seen::Now(Ranges {
            users: host.subids(SubIdKind::User)?,
            groups: host.subids(SubIdKind::Group)?,
            written: written.map(|meta| Ids { uid: meta.perms.uid, gid: meta.perms.gid }),
        }))
    }

    fn diff(&self, found: &Ranges, _: &Standing) -> Verdict<Give> {
        for (ranges, kind) in [(&found.users, SubIdKind::User), (&found.groups, SubIdKind::Group)] {
            let (own, others): (Vec<&SubIds>, Vec<&SubIds>) =
                ranges.iter().partition(|range| range.owner == self.user);
            let overlap =
                own.iter().find_map(|own| others.iter().find(|other| overlaps(own, other)));
            if let Some(other) = overlap {
                return Verdict::foreign(
                    format!(
                        "the ids of {} and {} in {} overlap: each could own the other's files",
                        self.user,
                        other.owner,
                        kind.path().display()
                    ),
                    format!(
                        "give one of them another range: man usermod (--del-subuids, --add-subuids), file {}",
                        kind.path().display()
                    ),
                );
            }
        }
        let mut changes = Vec::new();
        for (ranges, kind) in [(&found.users, SubIdKind::User), (&found.groups, SubIdKind::Group)] {
            if ranges.iter().any(|range| self.owns(range) && range.count >= COUNT) {
                continue;
            }
            match self.choose(found, kind) {
                Verdict::Change(more) => changes.extend(more),
                other => return other,
            }
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Give, _: &dyn Sink) -> Result<()> {
        // usermod takes no ids from a user whose processes may have them.
        if let (false, Some(account)) = (act.instead_of.is_empty(), host.account(&self.user)?) {
            host.stop_manager(&account)?;
        }
        host.give_subids(act.kind, &act.range, &act.instead_of)
    }
}

fn overlaps(a: &SubIds, b: &SubIds) -> bool {
    a.start < b.start.saturating_add(b.count) && b.start < a.start.saturating_add(a.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(owner: &str, start: u32, count: u32) -> SubIds {
        SubIds { owner: owner.into(), start, count }
    }

    #[test]
    fn too_few_is_mended_and_shared_is_refused() {
        let resource = Subordinate { user: "authentik".into(), written: "/d".into() };
        let is = |users: Vec<SubIds>, groups: Vec<SubIds>, written: Option<u32>| {
            let written = written.map(|id| Ids { uid: id, gid: id });
            match resource.diff(&Ranges { users, groups, written }, &Standing::Unclaimed) {
                Verdict::Change(changes) => Ok(changes.iter().map(|c| c.act.range.start).collect()),
                Verdict::Foreign { what, .. } => Err(what),
                _ => Ok(vec![]),
            }
        };
        let own = |count| vec![range("authentik", 100_000, count)];
        assert_eq!(is(own(COUNT), own(COUNT), None), Ok(vec![]));
        assert_eq!(is(vec![], vec![], None), Ok(vec![100_000, 100_000]));
        assert_eq!(is(vec![], own(COUNT), None), Ok(vec![100_000]), "as in the other file");
        assert_eq!(is(own(1000), own(COUNT), None), Ok(vec![100_000]), "grown");
        // What the files belong to comes first; what is not of a range says nothing.
        assert_eq!(is(vec![], vec![], Some(300_999)), Ok(vec![300_000, 300_000]));
        assert_eq!(is(vec![], vec![], Some(996)), Ok(vec![100_000, 100_000]));
        let bob = vec![range("bob", 90_000, COUNT)];
        assert_eq!(is(bob.clone(), own(COUNT), None), Ok(vec![155_536]), "bob has some of it");
        let shared = vec![range("authentik", 100_000, COUNT), range("bob", 165_000, COUNT)];
        assert!(is(shared, own(COUNT), None).is_err());
        assert!(is(bob, own(COUNT), Some(100_999)).is_err());
    }
}
