//! A secret in a file of its own. It is never shown, and replaced only by one that was handed in.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::{Meta, Perms, Put};
use crate::host::{Reader, Writer};
use crate::resource::directory::Wanted;
use crate::resource::role::read_secret;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use crate::secret::Secret;
use rustix::fs::FileType;
use std::path::PathBuf;

/// A secret file, generated where it is missing.
#[derive(Debug)]
pub struct SecretFile {
    /// Where.
    pub path: PathBuf,
    /// Owner and mode.
    pub wanted: Wanted,
    /// Length of a generated value.
    pub length: usize,
    /// The value that it should have, if one was handed in.
    pub given: Option<Secret>,
    /// Why a missing one must not be made anew, and what to do instead.
    pub irreplaceable: Option<(String, String)>,
    /// What must be there before its owner is known.
    pub owner: Id,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// It is missing.
    Generate,
    /// It is missing or another, and this one was handed in.
    Write(Put),
    /// Owner or mode differ.
    Perms,
}

impl Resource for SecretFile {
    type Found = Option<(Meta, bool)>;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("secret", self.path.display())
    }

    fn aim(&self) -> String {
        format!("set {} to {}", self.path.display(), self.wanted)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        let Some(meta) = host.stat(&self.path)? else { return Ok(Seen::Now(None)) };
        if self.wanted.perms.is_none() {
            return Ok(Seen::After(self.owner.clone()));
        }
        let other = match &self.given {
            Some(given) if meta.kind == FileType::RegularFile => {
                read_secret(host, &self.path).ok().flatten().as_ref() != Some(given)
            }
            _ => false,
        };
        Ok(Seen::Now(Some((meta, other))))
    }

    fn diff(&self, found: &Self::Found, standing: &Standing) -> Verdict<Act> {
        let path = self.path.display();
        let Some((meta, other)) = found else {
            return match (&self.given, &self.irreplaceable) {
                (Some(_), _) => Verdict::of(vec![Planned::create(
                    Act::Write(Put::New),
                    format!("write the given secret into {path} ({})", self.wanted),
                )]),
                (None, Some((what, next))) => {
                    Verdict::foreign(format!("{path} is missing: {what}"), next)
                }
                (None, None) => Verdict::of(vec![Planned::create(
                    Act::Generate,
                    format!(
                        "generate {path} ({}, {} letters and digits)",
                        self.wanted, self.length
                    ),
                )]),
            };
        };
        if meta.kind != FileType::RegularFile {
            return Verdict::foreign(
                format!("{path} is not a regular file"),
                format!("look at it (ls -l {path}) and move it away"),
            );
        }
        if *other {
            let text = format!("replace the secret in {path} by the given one");
            return Verdict::of(vec![Planned::change(Act::Write(Put::Replace), text)]);
        }
        self.wanted.mend(Act::Perms, &self.path, meta.perms, standing)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let perms = self.wanted.perms.unwrap_or(Perms::root(0o600));
        let write =
            |value: &Secret, put| host.put(&self.path, value.expose().as_bytes(), perms, put);
        match act {
            Act::Generate => write(&Secret::generate(self.length), Put::New),
            Act::Write(put) => self.given.as_ref().map_or(Ok(()), |value| write(value, *put)),
            Act::Perms => host.set_perms(&self.path, perms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_key_of_a_filled_database_is_not_made_anew() {
        let mut secret = SecretFile {
            path: "/s".into(),
            wanted: Wanted::root(0o640),
            length: 60,
            given: None,
            irreplaceable: None,
            owner: Id::new("user", "a"),
        };
        assert!(matches!(secret.diff(&None, &Standing::Unclaimed), Verdict::Change(_)));
        secret.irreplaceable = Some(("data".into(), "restore".into()));
        let claimed = Standing::Claimed(Mark::default());
        assert!(matches!(secret.diff(&None, &claimed), Verdict::Foreign { .. }));
        secret.given = Some(Secret::generate(60));
        assert!(matches!(secret.diff(&None, &claimed), Verdict::Change(_)), "it was handed in");
    }
}
