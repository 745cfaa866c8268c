//! Our block is out of pg_hba.conf again; all other bytes are as they were before us.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::FileNow;
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use crate::resource::hba::{is_loaded, reload};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict, block_gone};

/// The login rule is gone.
#[derive(Debug)]
pub struct HbaGone {
    /// The server.
    pub server: Server,
}

/// The file, and whether the server has loaded it.
#[derive(Debug)]
pub struct Found {
    file: Option<FileNow>,
    loaded: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Write the file as it was when it was looked at, without our block.
    Remove(FileNow, String),
    /// Have the server load it.
    Reload,
}

impl Resource for HbaGone {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("hba", self.server.hba_file.display())
    }

    fn aim(&self) -> String {
        format!("take our rule out of {}", self.server.hba_file.display())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let file = host.read_as(&self.server.owner, &self.server.hba_file)?;
        Ok(Seen::Now(Found { file, loaded: is_loaded(host, &self.server)? }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let path = self.server.hba_file.display().to_string();
        let load = || Planned::run(Act::Reload, format!("make PostgreSQL load {path}"));
        match block_gone((&self.server.hba_file, &found.file), self.aim(), Act::Remove) {
            Verdict::Change(mut changes) => {
                changes.push(load());
                Verdict::Change(changes)
            }
            // What somebody else has written there is not ours to load.
            Verdict::Gone if !found.loaded && *standing != Standing::Unclaimed => {
                Verdict::of(vec![load()])
            }
            other => other,
        }
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Reload => reload(host, &self.server),
            Act::Remove(old, rest) => {
                let (owner, path) = (&self.server.owner, &self.server.hba_file);
                host.put_as(owner, path, rest.as_bytes(), old.meta.perms.mode)
            }
        }
    }
}
