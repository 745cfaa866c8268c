//! The pod and its two containers run as their unit files say now.
//!
//! Each container carries, as labels, the hash of the text it was started from. So whether what
//! runs is what is written is a question that can be asked at any time.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::accounts::Account;
use crate::host::podman::Container;
use crate::host::systemd::{Manager, Unit};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Label with the hash of the container's own unit file.
pub const LABEL_RENDERING: &str = "io.authentik-install.rendering";
/// Label with the hash of the pod's unit file.
pub const LABEL_POD: &str = "io.authentik-install.pod";
/// Label of a worker that was started with the password of the first start.
pub const LABEL_BOOTSTRAP: &str = "io.authentik-install.bootstrap";

/// Longest wait until the containers exist: they start at once, whatever they do then.
const START_LIMIT: Duration = Duration::from_secs(180);

/// The unit of the pod.
pub const POD: &str = "authentik-pod.service";
/// All units: the pod and its containers.
pub const SERVICES: [&str; 3] = [POD, "authentik-server.service", "authentik-worker.service"];
/// How long they may take to stop.
pub const STOP: Duration = Duration::from_secs(120);
/// As often as the pod may fail before it is given up.
const TRIES: u32 = 10;
/// As long as what is to start may stand still.
const QUEUED_AGAIN: Duration = Duration::from_secs(10);

/// The pod and its containers.
#[derive(Debug)]
pub struct Workload {
    /// The service user.
    pub user: String,
    /// Hash of the pod's unit file.
    pub pod: String,
    /// Names of the containers, and the hashes of their unit files.
    pub containers: Vec<(String, String)>,
    /// Should it run?
    pub started: bool,
    /// Folder of the secret files, which a container reads at its start.
    pub secrets: PathBuf,
    /// The drop-in of the first start.
    pub bootstrap: PathBuf,
}

/// What runs.
#[derive(Debug)]
pub struct Found {
    units: BTreeMap<String, Unit>,
    containers: Vec<Container>,
    /// Newest change of a secret, in nanoseconds since 1970.
    secrets: i128,
    bootstrap: bool,
}

/// What it takes, the strongest alone.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// The user manager reads the files again.
    Reload,
    /// Units that are not running.
    Start(Vec<String>),
    /// It should not run.
    Stop,
    /// Everything, since the pod is another.
    RestartPod,
    /// Single containers.
    Restart(Vec<String>),
}

impl Workload {
    fn account(&self, host: &Reader) -> Result<Account> {
        host.account(&self.user)?
            .ok_or_else(|| Failure::new("looking at the units of", &self.user, "the user is gone"))
    }

    fn look(&self, host: &Reader, account: &Account) -> Result<Found> {
        let units = host.units(Manager::User(account), &SERVICES)?;
        // A container without its unit is replaced by the next start, whatever it runs from.
        let runs = Self::stopped(&units).len() < units.len();
        Ok(Found {
            containers: if runs { host.containers(account)? } else { Vec::new() },
            units,
            secrets: host.newest_in(&self.secrets)?,
            bootstrap: host.stat(&self.bootstrap)?.is_some(),
        })
    }

    // Has the manager read something else than is written? Its own flag knows nothing of Quadlet's
    // drop-ins, so what it would start is compared as well.
    fn unread(&self, found: &Found) -> bool {
        let other_start = |name: &str, rendering: &str| {
            found.units.get(&format!("{name}.service")).is_none_or(|unit| {
                let first_start = unit.exec_start.contains(LABEL_BOOTSTRAP);
                !unit.exec_start.contains(rendering)
                    || first_start != (found.bootstrap && is_worker(name))
            })
        };
        found.units.values().any(|unit| unit.load != "loaded" || unit.stale)
            || self.containers.iter().any(|(name, rendering)| other_start(name, rendering))
    }

    // Containers that run from another text, other secrets or another bootstrap than is written.
    fn outdated(&self, found: &Found) -> (bool, Vec<String>) {
        let mut pod = false;
        let mut own = Vec::new();
        for (name, rendering) in &self.containers {
            let Some(container) = found.containers.iter().find(|c| c.names.contains(name)) else {
                continue;
            };
            pod |= container.label(LABEL_POD) != self.pod;
            let started = i128::from(container.started_at) * 1_000_000_000;
            let bootstrap =
                is_worker(name) && (container.label(LABEL_BOOTSTRAP) == "yes") != found.bootstrap;
            // Whole seconds: a secret of the very second of the start counts as read.
            let stale_secret = started + 1_000_000_000 <= found.secrets;
            if container.label(LABEL_RENDERING) != rendering || bootstrap || stale_secret {
                own.push(format!("{name}.service"));
            }
        }
        (pod, own)
    }

    fn stopped(units: &BTreeMap<String, Unit>) -> Vec<String> {
        units
            .iter()
            .filter(|(_, unit)| {
                !matches!(unit.active.as_str(), "active" | "activating" | "reloading")
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn wait(&self, host: &Writer<'_>, account: &Account) -> Result<()> {
        let started = Instant::now();
        let mut queued = started;
        let limit = START_LIMIT;
        let mut before = None;
        while started.elapsed() < limit {
            let found = self.look(host, account)?;
            let restarts = found.units.get(POD).map_or(0, |pod| pod.restarts);
            let tries = restarts.saturating_sub(*before.get_or_insert(restarts));
            let stopped = Self::stopped(&found.units);
            let here = self.containers.iter().all(|(name, _)| {
                found.containers.iter().any(|c| c.names.contains(name) && c.state == "running")
            });
            if here && self.outdated(&found) == (false, Vec::new()) && stopped.is_empty() {
                return Ok(());
            }
            // One that systemd has tried so often, as with a port that somebody else has, does not come.
            if tries >= TRIES {
                break;
            }
            // A start that failed with the one of the pod is forgotten by the manager. One that is queued
            // still is not begun anew.
            if !stopped.is_empty() && queued.elapsed() >= QUEUED_AGAIN {
                let units: Vec<&str> = stopped.iter().map(String::as_str).collect();
                host.queue_job(Manager::User(account), "start", &units)?;
                queued = Instant::now();
            }
            host.pause(Duration::from_millis(500))?;
        }
        let name = self.containers.iter().map(|(name, _)| name).find(|name| {
            host.unit(Manager::User(account), &format!("{name}.service"))
                .is_ok_and(|unit| unit.active != "active")
        });
        let name = name.map_or("authentik-server", String::as_str);
        Err(Failure::new(
            "starting",
            name,
            format!(
                "it does not run after {} s; its last lines: {}",
                started.elapsed().as_secs(),
                host.container_log(account, name, 10).trim()
            ),
        )
        .next(log_command(account, name)))
    }
}

fn is_worker(name: &str) -> bool {
    name.ends_with("worker")
}

/// The command that shows the whole log of a container.
pub fn log_command(account: &Account, container: &str) -> String {
    format!("journalctl _UID={} CONTAINER_NAME={container}", account.uid)
}

impl Resource for Workload {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("workload", "authentik")
    }

    fn aim(&self) -> String {
        "start the pod, the server and the worker".into()
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let Some(account) = host.account(&self.user)? else {
            return Ok(Seen::After(Id::new("user", &self.user)));
        };
        if !host.podman_answers(&account)? {
            return Ok(Seen::After(Id::new("linger", &self.user)));
        }
        self.look(host, &account).map(Seen::Now)
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Act> {
        let mut changes = Vec::new();
        if self.unread(found) {
            let text = "make the user manager read the unit files again";
            changes.push(Planned::run(Act::Reload, text));
        }
        let (pod, own) = self.outdated(found);
        let stopped = Self::stopped(&found.units);
        if !self.started {
            if stopped.len() < found.units.len() {
                changes.push(Planned::run(Act::Stop, "stop the pod"));
            }
            return Verdict::of(changes);
        }
        if pod {
            changes.push(Planned::run(Act::RestartPod, "restart the pod with its new unit file"));
        } else if !own.is_empty() {
            let text = format!("restart {}, which runs from older settings", own.join(", "));
            changes.push(Planned::run(Act::Restart(own), text));
        }
        if !stopped.is_empty() && !pod {
            let text = format!("start {}", stopped.join(", "));
            changes.push(Planned::run(Act::Start(stopped), text));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        let account = self.account(host)?;
        let manager = Manager::User(&account);
        let (verb, units) = match act {
            Act::Reload => return host.daemon_reload(manager),
            Act::Stop => return host.unit_job(manager, "stop", &[POD], START_LIMIT),
            Act::Start(list) => ("start", list.clone()),
            Act::Restart(list) => ("restart", list.clone()),
            Act::RestartPod => ("restart", SERVICES.map(str::to_owned).to_vec()),
        };
        let units: Vec<&str> = units.iter().map(String::as_str).collect();
        host.queue_job(manager, verb, &units)?;
        self.wait(host, &account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload {
            user: "authentik".into(),
            pod: "p1".into(),
            containers: vec![
                ("authentik-server".into(), "s1".into()),
                ("authentik-worker".into(), "w1".into()),
            ],
            started: true,
            secrets: "/s".into(),
            bootstrap: "/b".into(),
        }
    }

    fn container(name: &str, rendering: &str, pod: &str) -> Container {
        let labels = [(LABEL_RENDERING, rendering), (LABEL_POD, pod)];
        Container {
            names: vec![name.into()],
            labels: Some(labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect()),
            state: "running".into(),
            started_at: 1000,
            pid: 0,
            status: String::new(),
        }
    }

    fn found(server: &str, pod: &str, active: &str) -> Found {
        let unit = |start: &str| Unit {
            load: "loaded".into(),
            active: active.into(),
            exec_start: start.into(),
            ..Unit::default()
        };
        let starts = ["", "podman run --label x=s1", "podman run --label x=w1"].map(unit);
        Found {
            units: SERVICES.map(str::to_owned).into_iter().zip(starts).collect(),
            containers: vec![
                container("authentik-server", server, pod),
                container("authentik-worker", "w1", pod),
            ],
            secrets: 0,
            bootstrap: false,
        }
    }

    fn acts(found: &Found) -> Vec<Act> {
        match workload().diff(found, &Standing::Unclaimed) {
            Verdict::Converged | Verdict::Gone => Vec::new(),
            Verdict::Change(changes) => changes.into_iter().map(|change| change.act).collect(),
            other @ Verdict::Foreign { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_differs_is_restarted() {
        assert_eq!(acts(&found("s1", "p1", "active")), vec![]);
        assert_eq!(
            acts(&found("s0", "p1", "active")),
            vec![Act::Restart(vec!["authentik-server.service".into()])]
        );
        assert_eq!(acts(&found("s1", "p0", "active")), vec![Act::RestartPod]);
        assert!(
            matches!(acts(&found("s1", "p1", "failed")).as_slice(), [Act::Start(all)] if all.len() == 3)
        );
    }

    #[test]
    fn a_newer_secret_and_a_withdrawn_bootstrap_restart() {
        let mut newer = found("s1", "p1", "active");
        newer.secrets = 2_000_000_000_000;
        assert!(matches!(acts(&newer).as_slice(), [Act::Restart(both)] if both.len() == 2));
        let mut prepared = found("s1", "p1", "active");
        prepared.bootstrap = true;
        let restart = Act::Restart(vec!["authentik-worker.service".into()]);
        assert_eq!(acts(&prepared), vec![Act::Reload, restart]);
    }
}
