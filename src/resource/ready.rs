//! authentik answers: the server is ready, a worker is alive, the login page is there.
//!
//! Ready alone proves little: it is true before the worker has made the login page, and a worker
//! that took the server's port answers 200 with an empty body to everything.

use crate::error::{Failure, Result};
use crate::event::{Event, Sink};
use crate::host::accounts::Account;
use crate::host::http::Client;
use crate::host::postgres::Server;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::names::PgName;
use crate::resource::admin::FLOW;
use crate::resource::workload::{SERVICES, log_command};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::time::{Duration, Instant};

/// The workload does its work.
#[derive(Debug)]
pub struct Ready {
    /// The service user.
    pub user: String,
    /// The server's port on 127.0.0.1.
    pub port: u16,
    /// The database server.
    pub server: Server,
    /// The database.
    pub database: PgName,
    /// Does the worker of this line keep a table of its status?
    pub worker_status: bool,
    /// Longest wait.
    pub deadline: Duration,
}

/// What is missing: the container to blame, and what it does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    container: &'static str,
    what: String,
}

/// Wait for it.
#[derive(Debug)]
pub struct Wait;

const SERVER: &str = "authentik-server";
const WORKER: &str = "authentik-worker";

impl Ready {
    fn missing(&self, host: &Reader, account: &Account) -> Result<Option<Missing>> {
        let lacks = |container, what: String| Ok(Some(Missing { container, what }));
        let client = Client::local(host, self.port);
        match client.get("/-/health/ready/") {
            Ok(answer) if answer.status == 200 && answer.is_authentiks() => {}
            Ok(answer) if answer.status == 200 => {
                return lacks(
                    SERVER,
                    "its port is answered by something that is not authentik's server".into(),
                );
            }
            Ok(answer) => {
                return lacks(SERVER, format!("it is not ready yet (status {})", answer.status));
            }
            Err(why) => return lacks(SERVER, format!("it does not answer yet ({why})")),
        }
        if self.worker_status && !self.worker_lives(host, account)? {
            return lacks(WORKER, "no sign of life in the database yet".into());
        }
        match client.get(&format!("/if/flow/{FLOW}/")) {
            Ok(answer) if answer.status == 200 && !answer.body.trim().is_empty() => {}
            Ok(answer) => {
                return lacks(
                    WORKER,
                    format!("the login page is not there yet (status {})", answer.status),
                );
            }
            Err(why) => return lacks(SERVER, format!("the login page does not answer ({why})")),
        }
        let units = host.units(Manager::User(account), &SERVICES)?;
        for name in [SERVER, WORKER] {
            if let Some(unit) = units.get(&format!("{name}.service"))
                && unit.active != "active"
            {
                return lacks(name, format!("its unit is {} ({})", unit.active, unit.sub));
            }
        }
        Ok(None)
    }

    // By the table that the worker keeps: its own health check cannot be trusted on every line.
    fn worker_lives(&self, host: &Reader, account: &Account) -> Result<bool> {
        let started = host
            .containers(account)?
            .into_iter()
            .find(|container| container.names.iter().any(|name| name == WORKER))
            .map_or(0, |container| container.started_at);
        let (server, database) = (&self.server, self.database.as_str());
        if !host.has_table(server, database, "authentik_tasks_workerstatus")? {
            return Ok(false);
        }
        // The row of an earlier start lingers, so it must be younger than this start.
        let sql = format!(
            "SELECT to_json(coalesce(max(last_seen) > greatest(now() - interval '90 s', to_timestamp({started})), false))
             FROM authentik_tasks_workerstatus"
        );
        Ok(host.query(server, database, &sql)? == Some(true))
    }
}

impl Resource for Ready {
    type Found = Option<Missing>;
    type Act = Wait;

    fn id(&self) -> Id {
        Id::new("ready", "authentik")
    }

    fn aim(&self) -> String {
        "wait until authentik answers".into()
    }

    fn proves_itself(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        let workload = Id::new("workload", "authentik");
        let Some(account) = host.account(&self.user)? else { return Ok(Seen::After(workload)) };
        if !host.podman_answers(&account)? {
            return Ok(Seen::After(workload));
        }
        let units = host.units(Manager::User(&account), &SERVICES).unwrap_or_default();
        if units.values().all(|unit| unit.load == "loaded") && !units.is_empty() {
            return self.missing(host, &account).map(Seen::Now);
        }
        Ok(Seen::After(workload))
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Wait> {
        match found {
            None => Verdict::Converged,
            Some(missing) => Verdict::of(vec![Planned::run(
                Wait,
                format!("wait until authentik answers ({}: {})", missing.container, missing.what),
            )]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Wait, told: &dyn Sink) -> Result<()> {
        let account = host.account(&self.user)?.ok_or_else(|| {
            Failure::new("waiting for", "authentik", format!("the user {} is gone", self.user))
        })?;
        let (started, limit) = (Instant::now(), self.deadline);
        loop {
            let Some(missing) = self.missing(host, &account)? else { return Ok(()) };
            if started.elapsed() >= limit {
                let log = host.container_log(&account, missing.container, 12);
                return Err(Failure::new(
                    "waiting for",
                    missing.container,
                    format!(
                        "{} after {} s; its last lines:\n{}",
                        missing.what,
                        limit.as_secs(),
                        log.trim()
                    ),
                )
                .next(log_command(&account, missing.container)));
            }
            let text = format!("{}: {}", missing.container, missing.what);
            told.emit(&Event::waiting("authentik", text, started.elapsed(), limit));
            host.pause(Duration::from_secs(1))?;
        }
    }
}
