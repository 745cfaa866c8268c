//! The system user that everything runs as.

use crate::error::Result;
use crate::event::Sink;
use crate::host::accounts::{Account, Group};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;

/// A system user with its own group and home.
#[derive(Debug)]
pub struct User {
    /// Name of user and group.
    pub name: String,
    /// Home folder.
    pub home: PathBuf,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// The user is missing, and its group too unless a killed run of ours made it.
    Create {
        /// Is the group there?
        group_exists: bool,
    },
    /// A killed run of ours made the user and not yet its group.
    Group(u32),
}

/// First id of people's accounts on the distributions that we know (login.defs UID_MIN).
const FIRST_PERSON: u32 = 1000;

impl User {
    /// The name of this resource for a user.
    pub fn id_of(name: &str) -> Id {
        Id::new("user", name)
    }
}

impl Resource for User {
    type Found = (Option<Account>, Option<Group>);
    type Act = Act;

    fn id(&self) -> Id {
        User::id_of(&self.name)
    }

    fn aim(&self) -> String {
        format!("create the system user {}", self.name)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn renews_facts(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        Ok(Seen::Now((host.account(&self.name)?, host.group(&self.name)?)))
    }

    fn diff(&self, (account, group): &Self::Found, standing: &Standing) -> Verdict<Act> {
        let name = &self.name;
        let Some(account) = account else {
            if group.is_some() && *standing == Standing::Unclaimed {
                return Verdict::foreign(
                    format!("there is a group {name}, but no user of that name"),
                    format!("if nobody needs it: groupdel {name}"),
                );
            }
            let home = self.home.display();
            return Verdict::of(vec![Planned::create(
                Act::Create { group_exists: group.is_some() },
                format!(
                    "create the system user {name} (home {home}, no login, 65536 subordinate ids)"
                ),
            )]);
        };
        if account.uid >= FIRST_PERSON {
            return Verdict::foreign(
                format!("the user {name} is a person's account (uid {})", account.uid),
                format!("rename that account: usermod --login NEW {name}"),
            );
        }
        if account.home != self.home {
            return Verdict::foreign(
                format!(
                    "the user {name} has its home in {}, not in {}",
                    account.home.display(),
                    self.home.display()
                ),
                format!(
                    "if it serves nothing else: usermod --home {} --move-home {name}",
                    self.home.display()
                ),
            );
        }
        if group.is_none() && account.gid != 0 && *standing != Standing::Unclaimed {
            let text = format!("create the group {name}");
            return Verdict::of(vec![Planned::change(Act::Group(account.gid), text)]);
        }
        if account.gid == 0 || group.as_ref().is_none_or(|group| group.gid != account.gid) {
            return Verdict::foreign(
                format!("the primary group of the user {name} is not {name}"),
                format!("groupadd --system {name}; usermod --gid {name} {name}"),
            );
        }
        Verdict::Converged
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Create { group_exists } => {
                host.create_system_user(&self.name, &self.home, *group_exists)
            }
            Act::Group(gid) => host.create_system_group(&self.name, *gid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_account_is_not_ours() {
        let user = User { name: "authentik".into(), home: "/h".into() };
        let account = |uid, home: &str| Account {
            name: "authentik".into(),
            uid,
            gid: 990,
            home: home.into(),
            shell: "/bin/false".into(),
        };
        let group = Some(Group { name: "authentik".into(), gid: 990, members: vec![] });
        let is = |account| user.diff(&(account, group.clone()), &Standing::Unclaimed);
        assert!(matches!(is(Some(account(990, "/h"))), Verdict::Converged));
        assert!(matches!(is(Some(account(1000, "/h"))), Verdict::Foreign { .. }));
        assert!(matches!(is(Some(account(990, "/home/a"))), Verdict::Foreign { .. }));
        assert!(matches!(is(None), Verdict::Foreign { .. }), "a group alone");
        let ours = Standing::Claimed(Mark::default());
        let half = |found| matches!(user.diff(&found, &ours), Verdict::Change(_));
        assert!(half((None, group.clone())) && half((Some(account(990, "/h")), None)));
        assert!(matches!(user.diff(&(None, None), &Standing::Unclaimed), Verdict::Change(_)));
    }
}
