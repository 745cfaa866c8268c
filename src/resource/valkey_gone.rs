//! The host's Valkey runs as its own files say, without what was ours.

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::{FileNow, Put};
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::file::{edit, kept};
use crate::resource::gone::SIGNATURE;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::PathBuf;
use std::time::Duration;

/// Drop-in and included file are gone, and the unit does not run by them any more.
#[derive(Debug)]
pub struct ValkeyGone {
    /// The unit.
    pub unit: String,
    /// The drop-in, which is what is claimed.
    pub dropin: PathBuf,
    /// The included file.
    pub conf: PathBuf,
}

/// What is there.
#[derive(Debug)]
pub struct Found {
    dropin: Option<FileNow>,
    conf: bool,
    stale: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Remove the included file.
    Conf,
    /// Remove the drop-in; what a person had written there is kept beside it.
    Dropin(Option<FileNow>),
    /// Make systemd read its files, and restart it.
    Restart,
}

impl Resource for ValkeyGone {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("valkey", &self.unit)
    }

    fn aim(&self) -> String {
        format!("restart {} as it was before", self.unit)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let unit = host.unit(Manager::System, &self.unit)?;
        Ok(Seen::Now(Found {
            dropin: host.read(&self.dropin)?,
            conf: host.stat(&self.conf)?.is_some(),
            stale: unit.load == "loaded" && unit.stale,
        }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let ours = match (&found.dropin, standing) {
            (Some(now), Standing::Unclaimed) => now.bytes.starts_with(SIGNATURE),
            (_, standing) => *standing != Standing::Unclaimed,
        };
        let mut changes = Vec::new();
        if ours && found.conf {
            // The claim lasts until its last file is gone.
            changes.push(Planned::run(Act::Conf, format!("remove {}", self.conf.display())));
        }
        if let (true, Some(now)) = (ours, &found.dropin) {
            let (edited, note) = match standing {
                Standing::Claimed(mark) => edit(&self.dropin, now, mark),
                Standing::Unclaimed => (false, String::new()),
            };
            let act = Act::Dropin(edited.then(|| now.clone()));
            changes.push(Planned::remove(act, format!("remove {}{note}", self.dropin.display())));
        }
        if found.stale || !changes.is_empty() {
            changes.push(Planned::run(Act::Restart, self.aim()));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Conf => host.remove(&self.conf),
            Act::Dropin(edited) => {
                if let Some(now) = edited {
                    host.put(&kept(&self.dropin), &now.bytes, now.meta.perms, Put::Replace)?;
                }
                host.remove(&self.dropin)
            }
            Act::Restart => {
                host.daemon_reload(Manager::System)?;
                let limit = Duration::from_secs(60);
                host.unit_job(Manager::System, "try-restart", &[&self.unit], limit)
            }
        }
    }
}
