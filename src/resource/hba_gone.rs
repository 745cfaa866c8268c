//! Our block is out of pg_hba.conf again; all other bytes are as they were before us.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::FileNow;
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict, unified};
use crate::text::block;

/// The login rule is gone.
#[derive(Debug)]
pub struct HbaGone {
    /// The server.
    pub server: Server,
}

/// The file as it was when it was looked at, and its text without our block.
#[derive(Debug)]
pub struct Remove(FileNow, String);

impl Resource for HbaGone {
    type Found = Option<FileNow>;
    type Act = Remove;

    fn id(&self) -> Id {
        Id::new("hba", self.server.hba_file.display())
    }

    fn aim(&self) -> String {
        format!("take our rule out of {}", self.server.hba_file.display())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        host.read_as(&self.server.owner, &self.server.hba_file).map(Seen::Now)
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Remove> {
        // The marks say whose it is, also to a run that has lost the ledger.
        let Some((file, text)) = found.as_ref().and_then(|file| Some((file, file.text().ok()?)))
        else {
            return Verdict::Converged;
        };
        if block::content(&text).is_none() {
            return Verdict::Converged;
        }
        let rest = block::remove(&text);
        let diff = unified(&self.server.hba_file.display().to_string(), &text, &rest);
        let act = Remove(file.clone(), rest);
        Verdict::of(vec![Planned::remove(act, self.aim()).with_diff(diff)])
    }

    fn apply(&self, host: &Writer<'_>, Remove(old, rest): &Remove, _: &dyn Sink) -> Result<()> {
        let (owner, path) = (&self.server.owner, &self.server.hba_file);
        host.put_as(owner, path, rest.as_bytes(), old.meta.perms.mode)?;
        host.sql(&self.server, "postgres", "SELECT pg_reload_conf()")
    }
}
