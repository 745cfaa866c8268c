//! Every resource of the blueprint is as the settings say: what `plan` would change is what has
//! drifted.

use super::{Context, Group, Options, Row, Severity, Started};
use crate::blueprint::step::{Outlook, Step};
use crate::blueprint::{self, Phase};
use crate::checks::Finding;
use crate::engine::ledger::Ledger;
use crate::error::{Failure, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looked at by checks of their own, which tell more.
const OWN: [&str; 3] = ["ready", "login", "served"];

fn group(id: &str) -> Group {
    match id.split(':').next().unwrap_or_default() {
        "user" | "membership" | "subids" | "linger" => Group::Accounts,
        "secret" => Group::Secrets,
        "role" | "database" | "hba" => Group::Database,
        "valkey" => Group::Cache,
        "image" | "workload" | "bootstrap" => Group::Workload,
        "caddyfile" => Group::Web,
        "timer" if id.contains("backup") => Group::Backups,
        "loaded" if id.contains("caddy") => Group::Web,
        "loaded" if id.contains("valkey") => Group::Cache,
        _ => Group::Files,
    }
}

/// The groups that the resources of a phase belong to.
fn groups(phase: Phase) -> &'static [Group] {
    match phase {
        Phase::Accounts => &[Group::Accounts, Group::Files],
        Phase::Database => &[Group::Files, Group::Secrets, Group::Database],
        Phase::Cache => &[Group::Files, Group::Secrets, Group::Cache],
        Phase::Containers => &[Group::Files, Group::Secrets, Group::Workload],
        Phase::Proxy => &[Group::Files, Group::Web],
        Phase::Schedule => &[Group::Files, Group::Backups],
    }
}

pub(super) fn start(context: &Arc<Context>, options: &Options) -> Vec<Started> {
    let mut started = Vec::new();
    let mut lost = BTreeMap::new();
    for phase in Phase::ALL {
        let steps =
            context.facts().and_then(|facts| blueprint::phase(phase, &context.settings, facts));
        match steps {
            Ok(steps) => started.extend(
                steps
                    .into_iter()
                    .filter(|step| wanted(step.as_ref(), options))
                    .map(|step| look(context, step)),
            ),
            // Rows that are missing would pass for rows that are well.
            Err(failure) => {
                lost.extend(groups(phase).iter().map(|group| (*group, failure.summary())));
            }
        }
    }
    let lost = lost.into_iter().filter(|(group, _)| options.wants(*group));
    started.extend(lost.map(|(group, why)| unseen(group, why)));
    started
}

fn unseen(group: Group, why: String) -> Started {
    let id = format!("resources:{}", group.name());
    let proves = "every resource of this group could be looked at";
    let row = Row::new(id.as_str(), group, Severity::Critical, proves);
    let failure = Failure::new("looking at", id, why).next("authentik-install verify");
    let task = tokio::task::spawn_blocking(move || (Err(failure), Duration::ZERO));
    Started { row, task }
}

fn wanted(step: &dyn Step, options: &Options) -> bool {
    let id = step.id();
    let kind = id.as_str().split(':').next().unwrap_or_default();
    !OWN.contains(&kind) && options.wants(group(id.as_str()))
}

fn look(context: &Arc<Context>, step: Box<dyn Step>) -> Started {
    let id = step.id();
    let proves = format!("{id} is as the settings say");
    let row = Row::new(id.as_str(), group(id.as_str()), Severity::Critical, proves);
    let own = Arc::clone(context);
    let task = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        (finding(&own, step.as_ref()), begun.elapsed()) as (Result<Finding>, Duration)
    });
    Started { row, task }
}

fn finding(context: &Context, step: &dyn Step) -> Result<Finding> {
    let ledger = Ledger::read(&context.host)?;
    Ok(match step.look(&context.host, &ledger.standing(&step.id()))? {
        Outlook::Converged | Outlook::Gone => Finding::ok("as it should be"),
        Outlook::Pending(changes) => {
            let texts: Vec<&str> = changes.iter().map(|change| change.text.as_str()).collect();
            let next = "authentik-install plan --diff, then: authentik-install install";
            Finding::fail(format!("to be done: {}", texts.join("; ")), next)
        }
        Outlook::After(other) => {
            Finding::fail(format!("it needs {other} first"), "authentik-install install")
        }
        Outlook::Foreign { what, next } => Finding::fail(what, next),
    })
}
