//! A timer of ours in the system's manager: enabled, running and read as its file is; or not.

use crate::error::Result;
use crate::event::Sink;
use crate::host::systemd::{Manager, Unit};
use crate::host::{Reader, Writer};
use crate::resource::gone::SIGNATURE;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// A timer and the service that it starts.
#[derive(Debug)]
pub struct Timer {
    /// Name of both, without ending.
    pub name: &'static str,
    /// Is it to run?
    pub wanted: bool,
}

/// What the manager knows.
#[derive(Debug)]
pub struct Found {
    timer: Unit,
    service: Unit,
    /// Somebody else wrote its file.
    theirs: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Make the manager read the files.
    Reload,
    /// Start it, now and at boot; one that runs takes its new times.
    Start,
    /// Stop it, for good.
    Stop,
}

impl Timer {
    fn unit(&self, ending: &str) -> String {
        format!("{}.{ending}", self.name)
    }
}

impl Resource for Timer {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("timer", self.name)
    }

    fn aim(&self) -> String {
        match self.wanted {
            true => format!("start {}", self.unit("timer")),
            false => format!("stop {}", self.unit("timer")),
        }
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let (timer, service) = (self.unit("timer"), self.unit("service"));
        let mut units = host.units(Manager::System, &[&timer, &service])?;
        let mut take = |name| units.remove(name).unwrap_or_default();
        let file = Path::new("/etc/systemd/system").join(&timer);
        let theirs = host.read(&file)?.is_some_and(|file| !file.bytes.starts_with(SIGNATURE));
        Ok(Seen::Now(Found { timer: take(&timer), service: take(&service), theirs }))
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Act> {
        let Found { timer, service, theirs } = found;
        let runs = timer.active == "active" && timer.file_state == "enabled";
        if !self.wanted {
            let here = timer.active == "active" || timer.file_state == "enabled";
            let changes = (here && !theirs).then(|| Planned::run(Act::Stop, self.aim()));
            return Verdict::of(changes.into_iter().collect());
        }
        let mut changes = Vec::new();
        let stale = timer.stale || service.stale;
        if stale || service.load == "not-found" || timer.load == "not-found" {
            changes.push(Planned::run(Act::Reload, "make systemd read its unit files again"));
        }
        if !runs || timer.stale {
            changes.push(Planned::run(Act::Start, self.aim()));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let timer = self.unit("timer");
        match act {
            Act::Reload => host.daemon_reload(Manager::System),
            Act::Start => {
                host.unit_job(Manager::System, "enable", &[&timer], LIMIT)?;
                host.unit_job(Manager::System, "restart", &[&timer], LIMIT)
            }
            Act::Stop => {
                host.unit_job(Manager::System, "stop", &[&timer], LIMIT)?;
                host.forget_last_run(&timer)?;
                host.unit_job(Manager::System, "disable", &[&timer], LIMIT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(
        wanted: bool,
        (load, active, file_state, stale): (&str, &str, &str, bool),
    ) -> String {
        let unit = |load: &str| Unit {
            load: load.into(),
            active: active.into(),
            file_state: file_state.into(),
            stale,
            ..Unit::default()
        };
        let found = Found { timer: unit(load), service: unit("loaded"), theirs: false };
        let timer = Timer { name: "authentik-verify", wanted };
        match timer.diff(&found, &Standing::Unclaimed) {
            Verdict::Converged | Verdict::Gone => "nothing".into(),
            Verdict::Foreign { what, .. } => panic!("{what}"),
            Verdict::Change(acts) => {
                acts.iter().map(|act| format!("{:?}", act.act)).collect::<Vec<_>>().join(",")
            }
        }
    }

    #[test]
    fn what_is_missing_is_done() {
        let running = ("loaded", "active", "enabled", false);
        assert_eq!(verdict(true, running), "nothing");
        assert_eq!(verdict(false, running), "Stop");
        assert_eq!(verdict(true, ("loaded", "active", "enabled", true)), "Reload,Start");
        assert_eq!(verdict(true, ("loaded", "active", "disabled", false)), "Start");
        assert_eq!(verdict(true, ("not-found", "inactive", "", false)), "Reload,Start");
        assert_eq!(verdict(false, ("not-found", "inactive", "", false)), "nothing");
    }
}
