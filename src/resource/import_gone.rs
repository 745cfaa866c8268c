//! The Caddyfile imports nothing of ours any more; all other bytes are as they were before us.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::facts::proxy::Proxy;
use crate::host::files::{FileNow, Put};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Resource, Seen, Standing, Verdict, block_gone, caddyfile};

/// Our marked block is out of the host's Caddyfile.
#[derive(Debug)]
pub struct ImportGone {
    /// Caddy.
    pub proxy: Proxy,
}

/// The file as it was when it was looked at.
#[derive(Debug)]
pub struct Remove(FileNow, String);

impl Resource for ImportGone {
    type Found = Option<FileNow>;
    type Act = Remove;

    fn id(&self) -> Id {
        caddyfile::id_of(&self.proxy)
    }

    fn aim(&self) -> String {
        format!("take our import out of {}", self.proxy.caddy.caddyfile.display())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        host.read(&self.proxy.caddy.caddyfile).map(Seen::Now)
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Remove> {
        block_gone((&self.proxy.caddy.caddyfile, found), self.aim(), Remove)
    }

    fn apply(&self, host: &Writer<'_>, Remove(old, rest): &Remove, _: &dyn Sink) -> Result<()> {
        let path = &self.proxy.caddy.caddyfile;
        host.put(path, rest.as_bytes(), old.meta.perms, Put::Replace)?;
        host.caddy_adapt(&self.proxy.caddy).map(drop).map_err(|failure| {
            Failure::new("changing", path.display(), failure.summary())
                .next(format!("correct it, then: caddy adapt --config {}", path.display()))
        })
    }
}
