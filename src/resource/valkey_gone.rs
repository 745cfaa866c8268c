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
    failed: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Remove the included file.
    Conf,
    /// Remove the drop-in; what a person had written there is kept beside it.
    Dropin(Option<FileNow>),
    /// Make systemd read its files, and restart it if it runs, or did until it failed.
    Restart {
        /// It failed.
        failed: bool,
    },
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
            failed: unit.active == "failed",
        }))
    }

    // The included file goes last: while it is there, the unit may still run by it.
    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let claimed = *standing != Standing::Unclaimed;
        // A run that has lost the ledger knows its own by their first line.
        let dropin =
            found.dropin.as_ref().filter(|now| claimed || now.bytes.starts_with(SIGNATURE));
        let conf = found.conf && (claimed || dropin.is_some());
        let mut changes = Vec::new();
        if let Some(now) = dropin {
            let (edited, note) = match standing {
                Standing::Claimed(mark) => edit(&self.dropin, now, mark),
                Standing::Unclaimed => (false, String::new()),
            };
            let act = Act::Dropin(edited.then(|| now.clone()));
            changes.push(Planned::remove(act, format!("remove {}{note}", self.dropin.display())));
        }
        if dropin.is_some() || conf || found.stale {
            changes.push(Planned::run(Act::Restart { failed: found.failed }, self.aim()));
        }
        if conf {
            changes.push(Planned::remove(Act::Conf, format!("remove {}", self.conf.display())));
        }
        Verdict::gone_unless(changes)
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
            Act::Restart { failed } => {
                host.daemon_reload(Manager::System)?;
                // One that its owner has stopped stays so.
                let verb = if *failed { "restart" } else { "try-restart" };
                host.unit_job(Manager::System, verb, &[&self.unit], Duration::from_secs(60))
            }
        }
    }
}
