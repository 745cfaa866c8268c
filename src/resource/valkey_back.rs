//! The host's Valkey runs as its own files say, without what was ours.

use crate::error::Result;
use crate::event::Sink;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::time::Duration;

/// A unit that has lost a drop-in of ours.
#[derive(Debug)]
pub struct ValkeyBack {
    /// Its name.
    pub unit: String,
}

/// Make systemd read its files, and restart it.
#[derive(Debug)]
pub struct Restart;

impl Resource for ValkeyBack {
    type Found = bool;
    type Act = Restart;

    fn id(&self) -> Id {
        Id::new("loaded", &self.unit)
    }

    fn aim(&self) -> String {
        format!("restart {} as it was before", self.unit)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        let unit = host.unit(Manager::System, &self.unit)?;
        Ok(Seen::Now(unit.load == "loaded" && unit.stale))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<Restart> {
        Verdict::of(found.then(|| Planned::run(Restart, self.aim())).into_iter().collect())
    }

    fn apply(&self, host: &Writer<'_>, _: &Restart, _: &dyn Sink) -> Result<()> {
        host.daemon_reload(Manager::System)?;
        host.unit_job(Manager::System, "try-restart", &[&self.unit], Duration::from_secs(60))
    }
}
