//! The system manager has read the file of a unit as it is on disk. A state, not an event: a run
//! that was killed between writing and reloading is healed by the next one.

use crate::error::Result;
use crate::event::Sink;
use crate::host::systemd::{Manager, Unit};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};

/// A system unit, read as it is.
#[derive(Debug)]
pub struct SystemLoaded {
    /// Its name.
    pub unit: String,
    /// What must be there before its name is known; `None` once it is.
    pub after: Option<Id>,
}

/// `systemctl daemon-reload`
#[derive(Debug)]
pub struct Reload;

impl Resource for SystemLoaded {
    type Found = Unit;
    type Act = Reload;

    fn id(&self) -> Id {
        Id::new("loaded", &self.unit)
    }

    fn aim(&self) -> String {
        "make systemd read its unit files again".into()
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Unit>> {
        match &self.after {
            Some(id) => Ok(Seen::After(id.clone())),
            None => Ok(Seen::Now(host.unit(Manager::System, &self.unit)?)),
        }
    }

    fn diff(&self, found: &Unit, _: &Standing) -> Verdict<Reload> {
        if !found.stale {
            return Verdict::Converged;
        }
        Verdict::of(vec![Planned::run(Reload, self.aim())])
    }

    fn apply(&self, host: &Writer<'_>, _: &Reload, _: &dyn Sink) -> Result<()> {
        host.daemon_reload(Manager::System)
    }
}
