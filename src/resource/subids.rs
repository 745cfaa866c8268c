//! Subordinate ids: without them a rootless container has one id alone.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::accounts::{SubIdKind, SubIds, free_range};
use crate::host::{Reader, Writer};
use crate::resource::user::User;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};

/// At least 65536 subordinate user and group ids.
#[derive(Debug)]
pub struct Subordinate {
    /// Whose.
    pub user: String,
}

const COUNT: u32 = 65_536;
const MIN: u32 = 100_000;

/// A range is added to one of the two files.
#[derive(Debug)]
pub struct Add(SubIdKind);

/// The ranges of both files.
#[derive(Debug)]
pub struct Ranges {
    users: Vec<SubIds>,
    groups: Vec<SubIds>,
}

impl Resource for Subordinate {
    type Found = Ranges;
    type Act = Add;

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
        if host.account(&self.user)?.is_none() {
            return Ok(Seen::After(User::id_of(&self.user)));
        }
        Ok(Seen::Now(Ranges {
            users: host.subids(SubIdKind::User)?,
            groups: host.subids(SubIdKind::Group)?,
        }))
    }

    fn diff(&self, found: &Ranges, _: &Standing) -> Verdict<Add> {
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
        let enough =
            |ranges: &[SubIds]| ranges.iter().any(|r| r.owner == self.user && r.count >= COUNT);
        let missing = [(&found.users, SubIdKind::User), (&found.groups, SubIdKind::Group)];
        Verdict::of(
            missing
                .into_iter()
                .filter(|(ranges, _)| !enough(ranges))
                .map(|(_, kind)| {
                    let file = kind.path().display();
                    Planned::create(Add(kind), format!("give {} {COUNT} ids in {file}", self.user))
                })
                .collect(),
        )
    }

    fn apply(&self, host: &Writer<'_>, act: &Add, _: &dyn Sink) -> Result<()> {
        let mut used = host.subids(SubIdKind::User)?;
        used.extend(host.subids(SubIdKind::Group)?);
        let start = free_range(&used, MIN, COUNT).ok_or_else(|| {
            Failure::new("choosing subordinate ids for", &self.user, "no range of 65536 is free")
                .next("remove ranges of users that are gone from /etc/subuid and /etc/subgid")
        })?;
        host.add_subids(&self.user, act.0, start, COUNT)
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
        let resource = Subordinate { user: "authentik".into() };
        let is = |users: Vec<SubIds>| {
            let groups = vec![range("authentik", 100_000, COUNT)];
            resource.diff(&Ranges { users, groups }, &Standing::Unclaimed)
        };
        assert!(matches!(is(vec![range("authentik", 100_000, COUNT)]), Verdict::Converged));
        assert!(matches!(is(vec![]), Verdict::Change(changes) if changes.len() == 1));
        assert!(matches!(is(vec![range("authentik", 100_000, 1000)]), Verdict::Change(_)));
        let shared = vec![range("authentik", 100_000, COUNT), range("bob", 165_000, COUNT)];
        assert!(matches!(is(shared), Verdict::Foreign { .. }));
    }
}
