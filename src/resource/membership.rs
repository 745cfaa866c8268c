//! Membership in the group of a socket, in the group database and in the running user manager.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::user::User;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::time::Duration;

/// A user in a group.
#[derive(Debug)]
pub struct Membership {
    /// Who.
    pub user: String,
    /// In what.
    pub group: String,
}

/// How it is.
#[derive(Debug)]
pub struct Found {
    /// Does the group exist?
    exists: bool,
    /// Is the user in it?
    member: bool,
    /// Does the running manager of the user have it? `None`: none runs.
    in_manager: Option<bool>,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Into the group database.
    Add,
    /// The running manager still has the old groups, which a process cannot gain.
    RestartManager,
}

impl Resource for Membership {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("membership", format!("{}/{}", self.user, self.group))
    }

    fn aim(&self) -> String {
        format!("add {} to the group {}", self.user, self.group)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let Some(account) = host.account(&self.user)? else {
            return Ok(Seen::After(User::id_of(&self.user)));
        };
        let group = host.group(&self.group)?;
        let groups = host.manager_pid(&account).and_then(|pid| host.process_groups(pid));
        Ok(Seen::Now(Found {
            exists: group.is_some(),
            member: group.as_ref().is_some_and(|g| g.members.contains(&self.user)),
            in_manager: groups
                .map(|groups| group.as_ref().is_some_and(|g| groups.contains(&g.gid))),
        }))
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Act> {
        let Membership { user, group } = self;
        if !found.exists {
            return Verdict::foreign(
                format!("there is no group {group}, which should own the socket"),
                "authentik-install check",
            );
        }
        let mut changes = Vec::new();
        if !found.member {
            changes.push(Planned::create(Act::Add, format!("add {user} to the group {group}")));
        }
        if found.in_manager == Some(false) {
            changes.push(Planned::run(
                Act::RestartManager,
                format!(
                    "restart the user manager of {user}, which still runs without the group {group}"
                ),
            ));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Add => host.add_to_group(&self.user, &self.group),
            Act::RestartManager => {
                let account = host.account(&self.user)?.ok_or_else(|| {
                    Failure::new("restarting the manager of", &self.user, "the user is gone")
                })?;
                let limit = Duration::from_secs(180);
                host.unit_job(Manager::System, "restart", &[&account.manager_unit()], limit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_with_old_groups_is_a_difference() {
        let resource = Membership { user: "a".into(), group: "g".into() };
        let count = |exists, member, in_manager| match resource
            .diff(&Found { exists, member, in_manager }, &Standing::Unclaimed)
        {
            Verdict::Converged | Verdict::Gone => 0,
            Verdict::Change(changes) => changes.len(),
            Verdict::Foreign { .. } => 99,
        };
        assert_eq!(count(true, true, Some(true)), 0);
        assert_eq!(count(true, true, None), 0);
        assert_eq!(count(true, true, Some(false)), 1);
        assert_eq!(count(true, false, Some(false)), 2);
        assert_eq!(count(false, false, None), 99);
    }
}
