//! A secret file whose text is made from another secret.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::{Meta, Perms, Put};
use crate::host::{Reader, Writer};
use crate::resource::directory::Wanted;
use crate::resource::role::read_secret;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A URL with a password in it.
#[derive(Debug)]
pub struct Derived {
    /// Where.
    pub path: PathBuf,
    /// Owner and mode.
    pub wanted: Wanted,
    /// What must be there before its owner is known.
    pub owner: Id,
    /// File of the password; `None`: there is none in it.
    pub password: Option<PathBuf>,
    /// What stands before the password's place.
    pub scheme: &'static str,
    /// What stands behind it.
    pub rest: String,
}

impl Derived {
    // A password as all readers of these URLs decode it (measured with redis-py and kombu).
    fn text(&self, host: &Reader) -> Result<Option<Zeroizing<String>>> {
        let Some(path) = &self.password else {
            return Ok(Some(Zeroizing::new(format!("{}{}", self.scheme, self.rest))));
        };
        Ok(read_secret(host, path)?.map(|password| {
            let encoded = utf8_percent_encode(password.expose(), NON_ALPHANUMERIC);
            Zeroizing::new(format!("{}:{encoded}@{}", self.scheme, self.rest))
        }))
    }
}

/// It is written.
#[derive(Debug)]
pub enum Act {
    /// Whole.
    Write(Put),
    /// Owner and mode.
    Perms,
}

impl Resource for Derived {
    type Found = Option<(Meta, bool)>;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("secret", self.path.display())
    }

    fn aim(&self) -> String {
        format!("write {} ({})", self.path.display(), self.wanted)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        if self.wanted.perms.is_none() {
            return Ok(Seen::After(self.owner.clone()));
        }
        let Some(text) = self.text(host)? else {
            let password = self.password.as_ref().map(|path| Id::new("secret", path.display()));
            return Ok(Seen::After(password.unwrap_or_else(|| self.owner.clone())));
        };
        let Some(meta) = host.stat(&self.path)? else { return Ok(Seen::Now(None)) };
        let now = host.read(&self.path)?;
        let same = now.is_some_and(|file| Zeroizing::new(file.bytes).as_slice() == text.as_bytes());
        Ok(Seen::Now(Some((meta, same))))
    }

    fn diff(&self, found: &Self::Found, standing: &Standing) -> Verdict<Act> {
        match found {
            None => Verdict::of(vec![Planned::create(Act::Write(Put::New), self.aim())]),
            Some((_, false)) => {
                let text = format!("rewrite {}", self.path.display());
                Verdict::of(vec![Planned::change(Act::Write(Put::Replace), text)])
            }
            Some((meta, true)) => self.wanted.mend(Act::Perms, &self.path, meta.perms, standing),
        }
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let perms = self.wanted.perms.unwrap_or(Perms::root(0o600));
        match act {
            Act::Perms => host.set_perms(&self.path, perms),
            Act::Write(put) => match self.text(host)? {
                Some(text) => host.put(&self.path, text.as_bytes(), perms, *put),
                None => Ok(()),
            },
        }
    }
}
