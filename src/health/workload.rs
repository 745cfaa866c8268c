//! The pod, its containers and what they answer.

use super::{Context, Measure};
use crate::checks::Finding;
use crate::error::{Failure, Result};
use crate::facts::cache::Guard;
use crate::host::http::{Answer, Client};
use crate::host::podman::Container;
use crate::host::process::{Process, Space};
use crate::host::systemd::Manager;
use crate::resource::admin::FLOW;
use crate::resource::workload::{POD, SERVICES, log_command};
use serde::Deserialize;
use std::path::Path;

const SERVER: &str = "authentik-server";
const WORKER: &str = "authentik-worker";

impl Context {
    fn container(&self, name: &str) -> Result<Option<Container>> {
        let containers = self.host.containers(&self.account()?)?;
        Ok(containers.into_iter().find(|one| one.names.iter().any(|own| own == name)))
    }

    /// The first process of a container.
    pub(super) fn process(&self, name: &str) -> Result<Process> {
        match self.container(name)? {
            Some(container) if container.pid > 0 => self.host.process(container.pid),
            _ => Err(Failure::new("looking into the container", name, "it does not run")
                .next("authentik-install install")),
        }
    }

    fn log(&self, container: &str) -> String {
        match self.account() {
            Ok(account) => format!("{} -n 50", log_command(&account, container)),
            Err(_) => "authentik-install install".into(),
        }
    }

    fn get(&self, path: &str) -> std::result::Result<Answer, String> {
        Client::local(&self.host, self.settings.http_port.number()).get(path)
    }
}

pub(super) fn server(context: &Context) -> Result<Finding> {
    state(context, SERVER)
}

pub(super) fn worker(context: &Context) -> Result<Finding> {
    state(context, WORKER)
}

fn state(context: &Context, name: &str) -> Result<Finding> {
    let account = context.account()?;
    let Some(container) = context.container(name)? else {
        return Ok(Finding::fail("there is no such container", "authentik-install install"));
    };
    let units = context.host.units(Manager::User(&account), &SERVICES)?;
    let unit = units.get(&format!("{name}.service")).map_or("", |unit| unit.active.as_str());
    let found = format!("{}, its unit is {unit}", container.status);
    let bad = container.state != "running"
        || container.status.contains("(unhealthy)")
        || unit != "active";
    Ok(match bad {
        true => Finding::fail(found, context.log(name)),
        false => Finding::ok(found),
    })
}

pub(super) fn restarts(context: &Context) -> Result<Finding> {
    let account = context.account()?;
    let units = context.host.units(Manager::User(&account), &SERVICES)?;
    let help = "How often systemd has started a unit anew by itself.";
    for (name, unit) in units.iter().filter(|(name, _)| *name != POD) {
        let (of, value) =
            (Some(name.trim_end_matches(".service").to_owned()), f64::from(unit.restarts));
        context.measure(Measure { name: "unit_restarts", help, of, value });
    }
    Ok(match units.iter().max_by_key(|(_, unit)| unit.restarts) {
        Some((name, unit)) if unit.restarts > 3 => Finding::warn(
            format!("{name} was started {} times anew", unit.restarts),
            context.log(name.trim_end_matches(".service")),
        ),
        _ => Finding::ok("no more than three times"),
    })
}

pub(super) fn oom(context: &Context) -> Result<Finding> {
    let account = context.account()?;
    let units = context.host.units(Manager::User(&account), &SERVICES)?;
    for (name, unit) in &units {
        let path = format!("/sys/fs/cgroup{}/memory.events", unit.control_group);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(count) = killed(&text) {
            return Ok(Finding::warn(
                format!("{count} processes of {name} were killed for want of memory"),
                "journalctl -k -g 'out of memory' -n 20; give the machine more memory, or [web] fewer workers",
            ));
        }
    }
    Ok(Finding::ok("none"))
}

// cgroup v2's memory.events; without the memory controller there is none.
fn killed(events: &str) -> Option<&str> {
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.filter(|count| *count != "0")
}

pub(super) fn ready(context: &Context) -> Result<Finding> {
    Ok(match context.get("/-/health/ready/") {
        Ok(answer) if answer.status == 200 => Finding::ok("200"),
        Ok(answer) => Finding::fail(format!("status {}", answer.status), context.log(SERVER)),
        Err(why) => Finding::fail(why, context.log(SERVER)),
    })
}

// The worker listens beside the server, and says 200 to everything, with nothing in it.
pub(super) fn port(context: &Context) -> Result<Finding> {
    Ok(match context.get("/-/health/live/") {
        Ok(answer) if answer.is_authentiks() => Finding::ok("authentik's server"),
        Ok(answer) => Finding::fail(
            format!("something else answers, with {}", answer.status),
            "authentik-install install; if it stays: systemctl restart user@*.service",
        ),
        Err(why) => Finding::fail(why, context.log(SERVER)),
    })
}

pub(super) fn login_page(context: &Context) -> Result<Finding> {
    Ok(match context.get(&format!("/if/flow/{FLOW}/")) {
        Ok(answer) if answer.status == 200 && !answer.body.trim().is_empty() => {
            Finding::ok(format!("{} bytes", answer.body.len()))
        }
        Ok(answer) if answer.status == 404 => Finding::fail(
            "there is no such flow: the worker has not applied its blueprints",
            context.log(WORKER),
        ),
        Ok(answer) => Finding::fail(
            format!("status {}, {} bytes", answer.status, answer.body.len()),
            context.log(SERVER),
        ),
        Err(why) => Finding::fail(why, context.log(SERVER)),
    })
}

#[derive(Deserialize)]
struct Life {
    age: Option<f64>,
}

// The row of an earlier start lingers for a while, so it has to be younger than this start too.
pub(super) fn worker_alive(context: &Context) -> Result<Finding> {
    if !context.settings.release.worker_status {
        return Ok(Finding::ok("this line keeps no such table; its container's own health counts"));
    }
    let (server, name) = (context.server()?, context.settings.database.name.as_str());
    let sql = "SELECT json_build_object('age', extract(epoch FROM now() - max(last_seen)))
        FROM authentik_tasks_workerstatus";
    if !context.host.has_table(server, name, "authentik_tasks_workerstatus")? {
        return Ok(Finding::fail("the database has no table of workers", context.log(WORKER)));
    }
    let life: Option<Life> = context.host.query(server, name, sql)?;
    Ok(match life.and_then(|life| life.age) {
        Some(age) if age <= 90.0 => Finding::ok(format!("{:.0} s ago", age.max(0.0))),
        Some(age) => Finding::fail(
            format!("the last sign of life is {age:.0} s old: mails, tasks and outposts wait"),
            context.log(WORKER),
        ),
        None => Finding::fail("no worker has ever told of itself", context.log(WORKER)),
    })
}

fn room(path: &str, space: Space) -> std::result::Result<String, String> {
    let percent = space.free * 100 / space.size.max(1);
    let found = format!("{percent} % of {path} are free");
    if percent < 5 { Err(found) } else { Ok(found) }
}

pub(super) fn shm(context: &Context) -> Result<Finding> {
    let space = context.process(SERVER)?.space("/dev/shm");
    let space = space.map_err(|errno| Failure::new("looking at", "/dev/shm of the pod", errno))?;
    Ok(match room("/dev/shm", space) {
        Ok(found) => Finding::ok(found),
        Err(found) => Finding::fail(found, "authentik-install ak -- sh -c 'ls -laS /dev/shm'"),
    })
}

pub(super) fn tmp(context: &Context) -> Result<Finding> {
    for name in [SERVER, WORKER] {
        let process = context.process(name)?;
        let path = process.environment()?.remove("TMPDIR").unwrap_or_else(|| "/tmp".into());
        let fail = |errno| Failure::new("looking at", format!("{path} of {name}"), errno);
        if let Err(found) = room(&path, process.space(&path).map_err(fail)?) {
            return Ok(Finding::fail(format!("{found}, in {name}"), context.log(name)));
        }
        if let Err(errno) = process.may_write(&path) {
            return Ok(Finding::fail(
                format!("{name} cannot write to {path}: {errno}"),
                context.log(name),
            ));
        }
    }
    Ok(Finding::ok("room in both"))
}

pub(super) fn descriptors(context: &Context) -> Result<Finding> {
    let mut found = Vec::new();
    for name in [SERVER, WORKER] {
        let (open, most) = context.process(name)?.descriptors()?;
        if near(open, most) {
            return Ok(Finding::warn(
                format!("{name} has {open} of {most} files open"),
                context.log(name),
            ));
        }
        found.push(format!("{open} of {most}"));
    }
    Ok(Finding::ok(found.join(", ")))
}

fn near(open: u64, most: u64) -> bool {
    open * 100 / most.max(1) > 80
}

// Does a container find something else at `inner` than is at `outer` on this host?
fn not_shared(
    context: &Context,
    (inner, outer): (&str, &Path),
    other: &str,
) -> Result<Option<Finding>> {
    for name in [SERVER, WORKER] {
        let found = match context.process(name)?.shares(inner, outer) {
            Ok(true) => continue,
            Ok(false) => {
                format!("{inner} in {name} is not {}, but another, {other}", outer.display())
            }
            Err(errno) => format!("{inner} in {name}: {errno}"),
        };
        return Ok(Some(Finding::fail(found, "authentik-install install")));
    }
    Ok(None)
}

pub(super) fn media(context: &Context) -> Result<Finding> {
    let (inner, outer) = (&context.settings.release.media_mount, &context.settings.paths.media);
    let other = "and uploads are lost with the container";
    if let Some(finding) = not_shared(context, (inner, outer), other)? {
        return Ok(finding);
    }
    for name in [SERVER, WORKER] {
        let process = context.process(name)?;
        if let Err(errno) = process.may_write(inner) {
            return Ok(Finding::fail(
                format!("{name} cannot write to {}: {errno}", outer.display()),
                "authentik-install install",
            ));
        }
    }
    Ok(Finding::ok(outer.display().to_string()))
}

pub(super) fn cache(context: &Context) -> Result<Finding> {
    if !context.settings.release.cache() {
        return Ok(Finding::ok("this line uses none"));
    }
    let facts = context.facts()?;
    let Some(cache) = facts.cache.known() else {
        return Ok(Finding::fail("there is no Valkey", "authentik-install check"));
    };
    let unit = &cache.valkey.unit;
    let next = format!("journalctl -u {unit} -n 50; systemctl restart {unit}");
    Ok(match (&cache.guard, &cache.answer) {
        (Guard::Down(why), _) => Finding::fail(why.clone(), next),
        (_, Some(answer)) if answer.policy.starts_with("allkeys") => Finding::warn(
            format!("{unit} drops keys when its memory is full ({})", answer.policy),
            "set maxmemory-policy noeviction: authentik keeps sessions and tasks in it",
        ),
        (Guard::Locked, _) => Finding::fail(
            format!("{unit} takes no password that is known here"),
            "authentik-install install --set cache.password_file=FILE",
        ),
        (_, None) => Finding::fail(format!("{unit} does not answer"), next),
        (_, Some(answer)) => Finding::ok(format!("{unit}, {}", answer.policy)),
    })
}

pub(super) fn cache_socket(context: &Context) -> Result<Finding> {
    if !context.settings.release.cache() {
        return Ok(Finding::ok("this line uses none"));
    }
    let facts = context.facts()?;
    let socket = facts.cache.known().and_then(|cache| cache.socket.as_ref());
    let Some((path, _)) = socket else {
        return Ok(Finding::fail("Valkey listens on no Unix socket", "authentik-install install"));
    };
    let inner = path.display().to_string();
    let other = "from before its last start";
    if let Some(finding) = not_shared(context, (&inner, path), other)? {
        return Ok(finding);
    }
    Ok(Finding::ok(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_as_the_kernel_counts_them() {
        assert_eq!(killed("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some("2"));
        assert_eq!(killed("low 0\noom 0\noom_kill 0\n"), None);
        assert_eq!(killed(""), None);
    }

    #[test]
    fn a_process_near_its_limit_is_told() {
        assert!(near(900, 1000) && near(1024, 1024));
        assert!(!near(3, 20_000) && !near(0, 0));
    }

    #[test]
    fn a_full_file_system_is_told() {
        let space = |free| Space { size: 1000, free, inodes: 0, inodes_free: 0, file_system: 0 };
        assert!(room("/tmp", space(900)).is_ok());
        assert!(room("/tmp", space(10)).is_err());
    }
}
