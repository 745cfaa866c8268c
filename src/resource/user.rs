//! The system user that everything runs as.

use crate::error::Result;
use crate::event::Sink;
use crate::facts::Ids;
use crate::host::accounts::{Account, Group};
use crate::host::files::{Meta, Perms};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict, settled};
use std::ffi::OsStr;
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
        /// The numbers that it had.
        before: Option<Ids>,
    },
    /// A killed run of ours made the user and not yet its group.
    Group(u32),
    /// It has another home; its manager, which runs with that one, is stopped for it.
    Home(Box<Account>),
    /// Somebody can log in as it.
    Shell,
    /// It has ended, and so its manager does not start.
    Ended,
}

/// What is there.
#[derive(Debug)]
pub struct Found {
    account: Option<Account>,
    group: Option<Group>,
    /// Has the account ended?
    ended: bool,
    /// The numbers that the units and the home of the installation say, where the user is gone.
    before: Option<Ids>,
}

/// First id of people's accounts on the distributions that we know (login.defs UID_MIN).
const FIRST_PERSON: u32 = 1000;

/// What useradd gives a system user, and where the distributions that we know have it.
const NO_LOGIN: &str = "/usr/sbin/nologin";

impl User {
    /// The name of this resource for a user.
    pub fn id_of(name: &str) -> Id {
        Id::new("user", name)
    }

    fn before(&self, host: &Reader) -> Result<Option<Ids>> {
        let [uid] = settled::uids(host)?[..] else { return Ok(None) };
        let home = host.stat(&self.home)?.filter(|meta| meta.perms.uid == uid);
        let Some(Meta { perms: Perms { gid, .. }, .. }) = home else { return Ok(None) };
        let is_free = host.account(&uid.to_string())?.is_none()
            && host.group(&gid.to_string())?.is_none_or(|group| group.name == self.name);
        Ok(is_free.then_some(Ids { uid, gid }))
    }

    // What somebody has made of a user of ours.
    fn mended(&self, account: &Account, ended: bool) -> Verdict<Act> {
        let name = &self.name;
        let mut changes = Vec::new();
        if account.home != self.home {
            let (is, home) = (account.home.display(), self.home.display());
            changes.push(Planned::change(
                Act::Home(Box::new(account.clone())),
                format!("set the home of {name} from {is} to {home}, and stop its manager for it"),
            ));
        }
        let shell = account.shell.file_name().and_then(OsStr::to_str);
        if !matches!(shell, Some("nologin" | "false")) {
            let text = format!("set the shell of {name} from {} to none", account.shell.display());
            changes.push(Planned::change(Act::Shell, text));
        }
        if ended {
            let text = format!("let the account of {name}, which has ended, go on");
            changes.push(Planned::change(Act::Ended, text));
        }
        Verdict::of(changes)
    }
}

impl Resource for User {
    type Found = Found;
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
        let account = host.account(&self.name)?;
        let before = if account.is_none() { self.before(host)? } else { None };
        Ok(Seen::Now(Found {
            account,
            before,
            group: host.group(&self.name)?,
            ended: host.has_ended(&self.name)?,
        }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let (name, group) = (&self.name, &found.group);
        let ours = *standing != Standing::Unclaimed;
        let Some(account) = &found.account else {
            if group.is_some() && !ours {
                return Verdict::foreign(
                    format!("there is a group {name}, but no user of that name"),
                    format!("if nobody needs it: groupdel {name}"),
                );
            }
            let home = self.home.display();
            return Verdict::of(vec![Planned::create(
                Act::Create { group_exists: group.is_some(), before: found.before },
                format!("create the system user {name} (home {home}, no login)"),
            )]);
        };
        if account.uid >= FIRST_PERSON {
            return Verdict::foreign(
                format!("the user {name} is a person's account (uid {})", account.uid),
                format!("rename that account: usermod --login NEW {name}"),
            );
        }
        if account.home != self.home && !ours {
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
        if group.is_none() && account.gid != 0 && ours {
            let text = format!("create the group {name}");
            return Verdict::of(vec![Planned::change(Act::Group(account.gid), text)]);
        }
        if account.gid == 0 || group.as_ref().is_none_or(|group| group.gid != account.gid) {
            return Verdict::foreign(
                format!("the primary group of the user {name} is not {name}"),
                format!("groupadd --system {name}; usermod --gid {name} {name}"),
            );
        }
        if found.ended && !ours {
            return Verdict::foreign(
                format!(
                    "the account of the user {name} has ended, and so its manager does not start"
                ),
                format!("usermod --expiredate '' {name}"),
            );
        }
        match ours {
            true => self.mended(account, found.ended),
            false => Verdict::Converged,
        }
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Create { group_exists, before } => {
                if let (false, Some(ids)) = (group_exists, before) {
                    host.create_system_group(&self.name, ids.gid)?;
                }
                let uid = before.map(|ids| ids.uid);
                let group_exists = *group_exists || before.is_some();
                host.create_system_user((&self.name, uid), &self.home, group_exists)
            }
            Act::Group(gid) => host.create_system_group(&self.name, *gid),
            Act::Home(account) => {
                host.stop_manager(account)?;
                host.change_user(&self.name, [OsStr::new("--home"), self.home.as_os_str()])
            }
            Act::Shell => host.change_user(&self.name, ["--shell", NO_LOGIN].map(OsStr::new)),
            Act::Ended => host.change_user(&self.name, ["--expiredate", ""].map(OsStr::new)),
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
        let found = |account, group| Found { account, group, ended: false, before: None };
        let is = |account| user.diff(&found(account, group.clone()), &Standing::Unclaimed);
        assert!(matches!(is(Some(account(990, "/h"))), Verdict::Converged));
        assert!(matches!(is(Some(account(1000, "/h"))), Verdict::Foreign { .. }));
        assert!(matches!(is(Some(account(990, "/home/a"))), Verdict::Foreign { .. }));
        assert!(matches!(is(None), Verdict::Foreign { .. }), "a group alone");
        let ours = Standing::Claimed(Mark::default());
        let half = |found| matches!(user.diff(&found, &ours), Verdict::Change(_));
        assert!(half(found(None, group.clone())));
        assert!(half(found(Some(account(990, "/h")), None)));
        let nothing = user.diff(&found(None, None), &Standing::Unclaimed);
        assert!(matches!(nothing, Verdict::Change(_)));
        // What somebody made of ours is undone; what is theirs is not.
        let changed = Account { shell: "/bin/sh".into(), ..account(990, "/root") };
        let changed = Found { ended: true, ..found(Some(changed), group) };
        assert!(matches!(user.diff(&changed, &ours), Verdict::Change(all) if all.len() == 3));
        assert!(matches!(user.diff(&changed, &Standing::Unclaimed), Verdict::Foreign { .. }));
    }
}
