//! The service user's rights, and the user, are taken back.

use crate::error::Result;
use crate::event::Sink;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(180);

/// What of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It does not linger any more, and its manager does not run.
    Linger,
    /// It is not in this group any more.
    Membership(String),
    /// It does not exist any more, and neither do its group and its subordinate ids.
    User,
}

/// It should not be there. What somebody else gave stays.
#[derive(Debug)]
pub struct AccountGone {
    /// Who.
    pub user: String,
    /// What of it.
    pub what: What,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Take it back.
    Remove,
    /// Stop the user's manager.
    Stop(u32),
    /// Remove the group that the user has left.
    Group,
}

/// How it is.
#[derive(Debug)]
pub struct Found {
    there: bool,
    manager: Option<u32>,
    group: bool,
}

impl Resource for AccountGone {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        match &self.what {
            What::Linger => Id::new("linger", &self.user),
            What::Membership(group) => Id::new("membership", format!("{}/{group}", self.user)),
            What::User => Id::new("user", &self.user),
        }
    }

    fn aim(&self) -> String {
        let user = &self.user;
        match &self.what {
            What::Linger => format!("let {user} linger no more, and stop its manager"),
            What::Membership(group) => format!("take {user} out of the group {group}"),
            What::User => format!("delete the system user {user}, its group and subordinate ids"),
        }
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let account = host.account(&self.user)?;
        let linger = Path::new("/var/lib/systemd/linger").join(&self.user);
        Ok(Seen::Now(Found {
            there: match &self.what {
                What::Linger => host.stat(&linger)?.is_some(),
                What::Membership(group) => {
                    host.group(group)?.is_some_and(|group| group.members.contains(&self.user))
                }
                What::User => account.is_some(),
            },
            manager: account.filter(|account| host.manager_pid(account).is_some()).map(|a| a.uid),
            group: host.group(&self.user)?.is_some(),
        }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        if *standing == Standing::Unclaimed {
            return Verdict::Converged;
        }
        let mut changes = Vec::new();
        if found.there {
            changes.push(Planned::remove(Act::Remove, self.aim()));
        }
        match (&self.what, found.manager) {
            (What::Linger, Some(uid)) => changes.push(Planned::remove(
                Act::Stop(uid),
                format!("stop the user manager of {}", self.user),
            )),
            (What::User, _) if found.group && !found.there => {
                changes
                    .push(Planned::remove(Act::Group, format!("delete the group {}", self.user)));
            }
            _ => {}
        }
        Verdict::gone_unless(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match (act, &self.what) {
            (Act::Stop(uid), _) => {
                // Its runtime folder would otherwise outlive the user until logind looks again.
                let units =
                    ["user", "user-runtime-dir"].map(|name| format!("{name}@{uid}.service"));
                let units = units.each_ref().map(String::as_str);
                host.unit_job(Manager::System, "stop", &units, LIMIT)
            }
            (Act::Group, _) => host.delete_group(&self.user),
            (Act::Remove, What::Linger) => host.disable_linger(&self.user),
            (Act::Remove, What::Membership(group)) => host.remove_from_group(&self.user, group),
            (Act::Remove, What::User) => {
                host.delete_user(&self.user)?;
                // shadow's userdel takes the group along where login.defs says so.
                match host.group(&self.user)? {
                    Some(_) => host.delete_group(&self.user),
                    None => Ok(()),
                }
            }
        }
    }
}
