//! Access lists (acl(5)), whose numbers of users and groups are those of the host that they were made on.

use super::owner::{Maps, Owner};

/// Before the entries stands the number of the shape (`linux/posix_acl_xattr.h`).
const HEAD: usize = 4;
/// An entry: tag and permissions of two bytes each, and a number of four.
const ENTRY: usize = 8;
/// The entry is about the user of that number, or about the group (`linux/posix_acl.h`).
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

/// Is this attribute an access list?
pub(super) fn is_list(attribute: &str) -> bool {
    attribute.starts_with("system.posix_acl_")
}

/// A list as another host understands it, and who of it means nothing there and is left out: whoever has
/// that number there must not get what was somebody else's.
pub(super) fn moved(list: &[u8], from: &Maps, to: &Maps) -> (Vec<u8>, Vec<Owner>) {
    let (head, entries) = list.split_at_checked(HEAD).unwrap_or((list, &[]));
    let (mut out, mut lost) = (head.to_vec(), Vec::new());
    for entry in entries.chunks_exact(ENTRY) {
        let &[tag0, tag1, perm0, perm1, id0, id1, id2, id3] = entry else { continue };
        let id = u32::from_le_bytes([id0, id1, id2, id3]);
        let (owner, here) = match u16::from_le_bytes([tag0, tag1]) {
            USER => (from.users.owner(id), to.users.id(from.users.owner(id))),
            GROUP => (from.groups.owner(id), to.groups.id(from.groups.owner(id))),
            _ => (Owner::Root, Some(id)),
        };
        match here {
            Some(here) => {
                out.extend([tag0, tag1, perm0, perm1]);
                out.extend(here.to_le_bytes());
            }
            None => lost.push(owner),
        }
    }
    (out, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::owner::Map;
    use crate::settings::input::UserNamespace;

    fn list(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut out = 2_u32.to_le_bytes().to_vec();
        for (tag, id) in entries {
            out.extend(tag.to_le_bytes());
            out.extend(7_u16.to_le_bytes());
            out.extend(id.to_le_bytes());
        }
        out
    }

    #[test]
    fn numbers_are_those_of_the_other_host() {
        let maps = |own, start, mode| {
            let map = Map::new(own, (start, 65_536), mode);
            Maps { users: map, groups: map }
        };
        let from = maps(996, 100_000, UserNamespace::Host);
        let to = maps(2001, 300_000, UserNamespace::KeepId);
        let nobody = u32::MAX;
        let before =
            list(&[(1, nobody), (USER, 2), (USER, 100_999), (4, nobody), (GROUP, 100_000)]);
        let after = list(&[(1, nobody), (USER, 2001), (4, nobody), (GROUP, 300_001)]);
        assert_eq!(moved(&before, &from, &to), (after, vec![Owner::Host(2)]));
        // Whatever stands in an archive, it is no reason to panic.
        for cut in 0..before.len() {
            moved(&before[..cut], &from, &to);
        }
    }
}
