//! Users, groups and subordinate ids, as the host's own name service tells them.

use crate::error::{Failure, Result};
use crate::host::memo::About;
use crate::host::run::Cmd;
use crate::host::{Reader, Writer, parse};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A user of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

impl Account {
    /// Where what it runs keeps sockets and the like: `XDG_RUNTIME_DIR`.
    pub fn runtime_dir(&self) -> PathBuf {
        format!("/run/user/{}", self.uid).into()
    }

    /// The unit of its manager.
    pub fn manager_unit(&self) -> String {
        format!("user@{}.service", self.uid)
    }
}

/// A group of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Members by name, without those whose primary group it is.
    pub members: Vec<String>,
}

/// A range of subordinate ids: a line of subuid(5) or subgid(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubIds {
    /// Name or number of the user that it belongs to.
    pub owner: String,
    /// First id.
    pub start: u32,
    /// How many.
    pub count: u32,
}

impl SubIds {
    // First and last id, as usermod(8) takes them.
    fn ends(&self) -> String {
        format!("{}-{}", self.start, self.start.saturating_add(self.count).saturating_sub(1))
    }
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubIdKind {
    /// subuid(5)
    User,
    /// subgid(5)
    Group,
}

impl SubIdKind {
    /// The file.
    pub fn path(self) -> &'static Path {
        Path::new(match self {
            SubIdKind::User => "/etc/subuid",
            SubIdKind::Group => "/etc/subgid",
        })
    }
}

impl Reader {
    /// A user by name, or by number in decimal.
    ///
    /// # Errors
    /// If the name service cannot be asked.
    pub fn account(&self, name: &str) -> Result<Option<Account>> {
        let Some(line) = self.getent("passwd", name)? else { return Ok(None) };
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, uid, gid, _, home, shell] => Ok(Some(Account {
                name: (*name).to_owned(),
                uid: parse("reading the user", name, uid)?,
                gid: parse("reading the user", name, gid)?,
                home: home.into(),
                shell: shell.into(),
            })),
            _ => Err(Failure::new("reading the user", name, format!("not understood: {line:?}"))),
        }
    }

    /// A group by name, or by number in decimal.
    ///
    /// # Errors
    /// If the name service cannot be asked.
    pub fn group(&self, name: &str) -> Result<Option<Group>> {
        let Some(line) = self.getent("group", name)? else { return Ok(None) };
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, gid, members] => Ok(Some(Group {
                name: (*name).to_owned(),
                gid: parse("reading the group", name, gid)?,
                members: members.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect(),
            })),
            _ => Err(Failure::new("reading the group", name, format!("not understood: {line:?}"))),
        }
    }

    // The C library of a static binary reads /etc/passwd alone; getent asks every source.
    fn getent(&self, database: &str, key: &str) -> Result<Option<String>> {
        let output =
            Cmd::new("getent").arg(database).arg(key).asks(About::Accounts).output(self)?;
        match output.code {
            Some(0) => Ok(output.out.lines().next().map(str::to_owned)),
            Some(2) => Ok(None),
            _ => Err(output.failure()),
        }
    }

    /// All ranges of one of the two files; none if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn subids(&self, kind: SubIdKind) -> Result<Vec<SubIds>> {
        let text = self.read(kind.path())?.map(|file| file.text()).transpose()?;
        Ok(text.as_deref().map(parse_subids).unwrap_or_default())
    }

    /// Has the account ended (chage(1), --expiredate)? Its manager does not start then.
    ///
    /// # Errors
    /// If the user database cannot be asked.
    pub fn has_ended(&self, name: &str) -> Result<bool> {
        let today = jiff::Timestamp::now().as_second().div_euclid(86_400);
        let output =
            Cmd::new("getent").args(["shadow", name]).asks(About::Accounts).output(self)?;
        let day: Option<i64> = output.out.split(':').nth(7).and_then(|day| day.trim().parse().ok());
        Ok(day.is_some_and(|day| day <= today))
    }

    /// The groups that a running process has, or `None` if it is gone.
    pub fn process_groups(&self, pid: u32) -> Option<Vec<u32>> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:"))?;
        Some(line.split_whitespace().filter_map(|gid| gid.parse().ok()).collect())
    }
}

fn parse_subids(text: &str) -> Vec<SubIds> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
            Some(SubIds {
                owner: owner.to_owned(),
                start: start.parse().ok()?,
                count: count.parse().ok()?,
            })
        })
        .collect()
}

/// First free range of `count` ids at or above `min`, touching no range in use.
pub fn free_range(in_use: &[SubIds], min: u32, count: u32) -> Option<u32> {
    let mut candidates: Vec<u32> =
        in_use.iter().filter_map(|range| range.start.checked_add(range.count)).collect();
    candidates.push(min);
    candidates.sort_unstable();
    candidates.into_iter().filter(|start| *start >= min).find(|start| {
        start.checked_add(count).is_some_and(|end| {
            in_use.iter().all(|r| end <= r.start || r.start.saturating_add(r.count) <= *start)
        })
    })
}

impl Writer<'_> {
    /// Creates a system user in a group of its name, which is made too unless it exists; by this number,
    /// or the next free one. The home is named and not made.
    ///
    /// # Errors
    /// If it exists, or `useradd` fails.
    pub fn create_system_user(
        &self,
        (name, uid): (&str, Option<u32>),
        home: &Path,
        group_exists: bool,
    ) -> Result<()> {
        let group = if group_exists { vec!["--gid", name] } else { vec!["--user-group"] };
        let mut cmd = Cmd::new("useradd").args(["--system", "--no-create-home"]).args(group);
        if let Some(uid) = uid {
            cmd = cmd.args(["--uid", &uid.to_string()]);
        }
        cmd.args(["--shell", "/usr/sbin/nologin", "--comment", "authentik", "--home-dir"])
            .arg(home)
            .arg(name)
            .changes_only(&[About::Accounts])
            .run(self)
            .map(drop)
    }

    /// Creates a system group with this number.
    ///
    /// # Errors
    /// If `groupadd` fails.
    pub fn create_system_group(&self, name: &str, gid: u32) -> Result<()> {
        Cmd::new("groupadd")
            .args(["--system", "--gid", &gid.to_string(), name])
            .changes_only(&[About::Accounts])
            .run(self)
            .map(drop)
    }

    /// Adds a user to a group.
    ///
    /// # Errors
    /// If `usermod` fails.
    pub fn add_to_group(&self, user: &str, group: &str) -> Result<()> {
        Cmd::new("usermod")
            .args(["--append", "--groups", group, user])
            .changes_only(&[About::Accounts])
            .run(self)
            .map(drop)
    }

    /// Changes one property of a user, by the flags of usermod(8).
    ///
    /// # Errors
    /// If `usermod` fails.
    pub fn change_user(&self, name: &str, flags: [&OsStr; 2]) -> Result<()> {
        let cmd = Cmd::new("usermod").args(flags).arg(name);
        cmd.changes_only(&[About::Accounts]).run(self).map(drop)
    }

    /// Takes a user out of a group.
    ///
    /// # Errors
    /// If `gpasswd` fails.
    pub fn remove_from_group(&self, user: &str, group: &str) -> Result<()> {
        Cmd::new("gpasswd")
            .args(["--delete", user, group])
            .changes_only(&[About::Accounts])
            .run(self)
            .map(drop)
    }

    /// Lets a user linger no more.
    ///
    /// # Errors
    /// If `loginctl` fails.
    pub fn disable_linger(&self, user: &str) -> Result<()> {
        let cmd = Cmd::new("loginctl").args(["disable-linger", user]);
        cmd.changes_only(&[About::Accounts, About::Units]).run(self).map(drop)
    }

    /// Deletes a user and its subordinate ids; its home is not touched.
    ///
    /// # Errors
    /// If `userdel` fails.
    pub fn delete_user(&self, name: &str) -> Result<()> {
        let cmd = Cmd::new("userdel").arg(name).next(format!("ps -u {name}"));
        cmd.changes_only(&[About::Accounts]).run(self).map(drop)
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// If `groupdel` fails.
    pub fn delete_group(&self, name: &str) -> Result<()> {
        Cmd::new("groupdel").arg(name).changes_only(&[About::Accounts]).run(self).map(drop)
    }

    /// Gives a user a range of subordinate ids, in the place of others of its own.
    ///
    /// # Errors
    /// If `usermod` fails.
    pub fn give_subids(&self, kind: SubIdKind, range: &SubIds, others: &[SubIds]) -> Result<()> {
        let (add, del) = match kind {
            SubIdKind::User => ("--add-subuids", "--del-subuids"),
            SubIdKind::Group => ("--add-subgids", "--del-subgids"),
        };
        let mut cmd = Cmd::new("usermod");
        for other in others {
            cmd = cmd.args([del, &other.ends()]);
        }
        cmd.args([add, &range.ends(), &range.owner])
            .changes_only(&[About::Accounts])
            .run(self)
            .map(drop)
    }

    /// Lets the user's manager run without a login, and starts it.
    ///
    /// # Errors
    /// If `loginctl` fails.
    pub fn enable_linger(&self, user: &str) -> Result<()> {
        Cmd::new("loginctl")
            .args(["enable-linger", user])
            .changes_only(&[About::Units])
            .run(self)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subids_are_read_and_noise_is_passed_over() {
        let text = "alice:100000:65536\n# note\n\nbroken:x:1\n1001:165536:65536\n";
        let owners: Vec<String> = parse_subids(text).into_iter().map(|r| r.owner).collect();
        assert_eq!(owners, ["alice", "1001"]);
    }

    #[test]
    fn a_free_range_touches_no_other() {
        let used = parse_subids("a:100000:65536\nb:200000:65536\n");
        assert_eq!(free_range(&used, 100_000, 34_464), Some(165_536));
        assert_eq!(free_range(&used, 100_000, 65_536), Some(265_536));
        assert_eq!(free_range(&[], 100_000, 65_536), Some(100_000));
        assert_eq!(free_range(&parse_subids("a:100000:4294867295"), 100_000, 65_536), None);
    }
}
