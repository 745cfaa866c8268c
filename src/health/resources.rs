//! Every resource of the blueprint is as the settings say: what `plan` would change is what has
//! drifted.

use super::{Context, Group, Options, Row, Severity, Started};
use crate::blueprint::step::{Outlook, Step};
use crate::blueprint::{self, Phase};
use crate::checks::Finding;
use crate::engine::ledger::Ledger;
use crate::error::Result;
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
        "loaded" if id.contains("caddy") => Group::Web,
        "loaded" if id.contains("valkey") => Group::Cache,
        _ => Group::Files,
    }
}

pub(super) fn start(context: &Arc<Context>, options: &Options) -> Vec<Started> {
    let mut started = Vec::new();
    let Ok(facts) = context.facts() else { return started };
    for phase in Phase::ALL {
        match blueprint::phase(phase, &context.settings, facts) {
            Ok(steps) => started.extend(
                steps
                    .into_iter()
                    .filter(|step| wanted(step.as_ref(), options))
                    .map(|step| look(context, step)),
            ),
            // What the phase builds on is told by the checks of that very thing.
            Err(_) => continue,
        }
    }
    started
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
        Outlook::Converged => Finding::ok("as it should be"),
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
