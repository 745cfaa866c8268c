//! Who a file belongs to, said so that another host understands it: numbers of users and of
//! subordinate ranges differ from host to host.

use crate::host::accounts::Account;
use crate::settings::input::UserNamespace;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The image's user.
const IMAGE_ID: u32 = 1000;

/// An owner, or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Owner {
    /// root of the host.
    Root,
    /// The service user.
    Service,
    /// A number inside the containers.
    Container(u32),
    /// A number of the host that means nothing elsewhere.
    Host(u32),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Root => f.write_str("root"),
            Owner::Service => f.write_str("service"),
            Owner::Container(id) => write!(f, "container:{id}"),
            Owner::Host(id) => write!(f, "host:{id}"),
        }
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> String {
        owner.to_string()
    }
}

impl FromStr for Owner {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("'{text}' is no number"));
        match text.split_once(':') {
            None if text == "root" => Ok(Owner::Root),
            None if text == "service" => Ok(Owner::Service),
            Some(("container", id)) => Ok(Owner::Container(number(id)?)),
            Some(("host", id)) => Ok(Owner::Host(number(id)?)),
            _ => Err(format!("'{text}' is no owner")),
        }
    }
}

impl TryFrom<String> for Owner {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How numbers of this host and numbers inside the containers belong together. One for users, one for
/// groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// The service user's own number.
    own: u32,
    /// First subordinate number, and how many there are.
    subordinate: (u32, u32),
    mode: UserNamespace,
}

impl Map {
    /// For users or groups: the account's own number, and its subordinate range.
    pub fn new(own: u32, subordinate: (u32, u32), mode: UserNamespace) -> Self {
        Map { own, subordinate, mode }
    }

    /// Whose is this number of the host?
    pub fn owner(&self, id: u32) -> Owner {
        let (start, count) = self.subordinate;
        if id == 0 {
            return Owner::Root;
        }
        if id == self.own {
            return match self.mode {
                UserNamespace::Host => Owner::Service,
                UserNamespace::KeepId => Owner::Container(IMAGE_ID),
            };
        }
        let Some(nth) = id.checked_sub(start).filter(|nth| *nth < count) else {
            return Owner::Host(id);
        };
        // Podman's own namespace has the user as 0 and the range from 1 on; keep-id moves the user to
        // 1000, and the numbers below it one down.
        match self.mode {
            UserNamespace::Host => Owner::Container(nth + 1),
            UserNamespace::KeepId if nth < IMAGE_ID => Owner::Container(nth),
            UserNamespace::KeepId => Owner::Container(nth + 1),
        }
    }

    /// The number that it has on this host; `None` if it has none here.
    pub fn id(&self, owner: Owner) -> Option<u32> {
        let (start, count) = self.subordinate;
        let nth = match (owner, self.mode) {
            (Owner::Root, _) => return Some(0),
            (Owner::Service, _) => return Some(self.own),
            (Owner::Host(_), _) => return None,
            (Owner::Container(IMAGE_ID), UserNamespace::KeepId) => return Some(self.own),
            (Owner::Container(0), UserNamespace::Host) => return Some(self.own),
            (Owner::Container(id), UserNamespace::Host) => id - 1,
            (Owner::Container(id), UserNamespace::KeepId) if id < IMAGE_ID => id,
            (Owner::Container(id), UserNamespace::KeepId) => id - 1,
        };
        (nth < count).then(|| start + nth)
    }
}

/// Users and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maps {
    /// Users.
    pub users: Map,
    /// Groups.
    pub groups: Map,
}

impl Maps {
    /// Those of an account with these subordinate ranges.
    pub fn of(
        account: &Account,
        (users, groups): ((u32, u32), (u32, u32)),
        mode: UserNamespace,
    ) -> Self {
        Maps {
            users: Map::new(account.uid, users, mode),
            groups: Map::new(account.gid, groups, mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for mode in [UserNamespace::Host, UserNamespace::KeepId] {
            let map = Map::new(996, (100_000, 65_536), mode);
            for id in [0, 996, 100_000, 100_001, 100_999, 101_000, 165_535] {
                let owner = map.owner(id);
                assert_eq!(map.id(owner), Some(id), "{mode:?} {owner}");
                assert_eq!(owner.to_string().parse(), Ok(owner));
            }
            assert_eq!(map.owner(200_000), Owner::Host(200_000));
            assert_eq!(map.id(Owner::Host(5)), None);
            assert_eq!(map.id(Owner::Container(70_000)), None);
        }
    }

    #[test]
    fn the_images_user_is_the_same_on_every_host() {
        let here = Map::new(996, (100_000, 65_536), UserNamespace::Host);
        let there = Map::new(2001, (300_000, 65_536), UserNamespace::KeepId);
        assert_eq!(here.owner(100_999), Owner::Container(1000));
        assert_eq!(there.id(here.owner(100_999)), Some(2001));
        assert_eq!(there.id(here.owner(100_000)), Some(300_001));
    }
}
