//! Is the installation healthy? A table of checks and every resource of the blueprint, all looked at
//! in parallel, each with a deadline.
//!
//! A check that could not look is not a check that failed: the first is `unknown`, with the reason.

mod accounts;
mod backups;
mod database;
mod files;
mod machine;
mod report;
mod resources;
pub mod status;
mod table;
pub mod watch;
mod web;
mod workload;

pub use report::{Group, Measure, Options, Report, Row, Severity};

use crate::backup::shelf::Shelved;
use crate::checks::{self, Finding, Subject};
use crate::error::{Failure, Result};
use crate::facts::{self, Facts};
use crate::host::Reader;
use crate::host::accounts::Account;
use crate::host::http::Answer;
use crate::host::postgres::Server;
use crate::host::tls::Presented;
use crate::settings::Settings;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What every check can use.
struct Context {
    host: Reader,
    settings: Settings,
    facts: OnceLock<std::result::Result<Facts, String>>,
    measures: Mutex<Vec<Measure>>,
    presented: OnceLock<std::result::Result<Presented, String>>,
    login_page: OnceLock<std::result::Result<Answer, String>>,
    shelved: OnceLock<std::result::Result<Vec<Shelved>, String>>,
}

impl Context {
    // Waits until they are gathered: most checks need them, and none needs them at once.
    fn facts(&self) -> Result<&Facts> {
        let facts = self.facts.wait().as_ref();
        facts.map_err(|why| Failure::new("looking at", "this host", why.as_str()))
    }

    fn account(&self) -> Result<Account> {
        let user = self.settings.user.as_str();
        self.host.account(user)?.ok_or_else(|| {
            Failure::new("looking for the user", user, "there is none")
                .next("authentik-install install")
        })
    }

    fn server(&self) -> Result<&Server> {
        let facts = &self.facts()?.postgres;
        facts.known().ok_or_else(|| {
            let why = match facts {
                crate::facts::Fact::Unknown(why) => why.lines().next().unwrap_or_default(),
                _ => "it is not installed or does not run",
            };
            Failure::new("looking for", "PostgreSQL", why)
                .next("systemctl list-units 'postgresql*'")
        })
    }

    fn measure(&self, measure: Measure) {
        self.measures.lock().unwrap_or_else(PoisonError::into_inner).push(measure);
    }
}

/// One thing to look at.
struct Check {
    id: &'static str,
    group: Group,
    severity: Severity,
    /// What an `ok` proves.
    proves: &'static str,
    /// Looks at what runs, so there is nothing to see where nothing is to run.
    running: bool,
    /// Left out by `--quick`.
    slow: bool,
    run: fn(&Context) -> Result<Finding>,
}

/// A look that was started: who it is, and what came of it.
struct Started {
    row: Row,
    task: tokio::task::JoinHandle<(Result<Finding>, Duration)>,
}

/// So that what takes longest does not share the processors with everything else at once.
const HEAD_START: Duration = Duration::from_millis(30);

/// Looks at everything that is asked for. It ends by the deadline, whatever hangs.
///
/// # Errors
/// If an embedded table is broken.
pub fn run(host: &Reader, settings: &Settings, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    // What hangs is to be named by the one who asked it, before the whole is given up.
    let context = Arc::new(Context {
        host: host.within(options.deadline * 4 / 5),
        settings: settings.clone(),
        facts: OnceLock::new(),
        measures: Mutex::default(),
        presented: OnceLock::new(),
        login_page: OnceLock::new(),
        shelved: OnceLock::new(),
    });
    let rows = host.runtime().block_on(async {
        ask_early(&context, options).await;
        let gathered = gather(&context, options.deadline / 2);
        let mut started: Vec<Started> = table::CHECKS
            .iter()
            .filter(|check| options.wants(check.group) && !(options.quick && check.slow))
            .map(|check| start(&context, check))
            .collect();
        let fitness = options.wants(Group::Host).then(|| fitness(&context, options));
        gathered.await;
        started.extend(resources::start(&context, options));
        let mut rows = Vec::new();
        for Started { mut row, task } in started {
            let left = options.deadline.saturating_sub(begun.elapsed());
            let ended = tokio::time::timeout(left.max(Duration::from_millis(1)), task).await;
            row.ended(match ended {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) => (Err(lost(&row, "the look ended early")), begun.elapsed()),
                Err(_) => {
                    let why = format!("no answer within {} s", options.deadline.as_secs());
                    (Err(lost(&row, &why)), options.deadline)
                }
            });
            rows.push(row);
        }
        if let Some(fitness) = fitness {
            let left = options.deadline.saturating_sub(begun.elapsed());
            let ended = tokio::time::timeout(left.max(Duration::from_millis(1)), fitness).await;
            rows.extend(match ended {
                Ok(Ok(found)) => found,
                _ => unfit(options),
            });
        }
        rows
    });
    let measures = context.measures.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report::of(settings, rows, measures, begun.elapsed()))
}

fn lost(row: &Row, why: &str) -> Failure {
    Failure::new("looking at", &row.id, why)
}

fn start(context: &Arc<Context>, check: &'static Check) -> Started {
    let own = Arc::clone(context);
    let task = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let idle = check.running && !own.settings.service.started;
        let finding = match idle {
            true => Ok(Finding::ok("not looked at: it is not to run ([service] started)")),
            false => (check.run)(&own),
        };
        (finding, begun.elapsed())
    });
    let Check { id, group, severity, proves, .. } = check;
    Started { row: Row::new(*id, *group, *severity, *proves), task }
}

// Podman and Caddy take longest to answer: they are asked first, and what they say is kept.
async fn ask_early(context: &Arc<Context>, options: &Options) {
    let early = |ask: fn(&Context)| {
        let own = Arc::clone(context);
        drop(tokio::task::spawn_blocking(move || ask(&own)));
    };
    if options.wants(Group::Workload) || options.wants(Group::Files) {
        early(|context| drop(context.account().map(|own| context.host.containers(&own))));
        early(|context| {
            let tag = context.settings.image_tag();
            drop(context.account().map(|own| context.host.image(&own, &tag)));
        });
    }
    if options.wants(Group::Web) {
        early(|context| {
            if let Ok(Some(proxy)) = facts::proxy::look(&context.host) {
                let _ = context.host.caddy_adapt(&proxy.caddy);
            }
        });
    }
    tokio::time::sleep(HEAD_START).await;
}

// The facts are set whatever happens: everybody waits for them.
async fn gather(context: &Arc<Context>, limit: Duration) {
    let own = Arc::clone(context);
    let asked = tokio::task::spawn_blocking(move || {
        let facts = Facts::gather(&own.host.within(limit * 4 / 5), &own.settings);
        let _ = own.facts.set(facts.map_err(|failure| failure.summary()));
    });
    if tokio::time::timeout(limit, asked).await.is_err() {
        let why = format!("no answer within {} s", limit.as_secs());
        let _ = context.facts.set(Err(why));
    }
}

/// The checks of `check` that can change their mind after an installation.
const FITNESS: &[&str] = &["clock", "user-namespaces", "rootless-helpers", "stray-units"];
const FITNESS_SLOW: &[&str] = &["session", "subordinate-ids", "image-policy", "keyring", "domain"];

fn picked(options: &Options) -> Vec<&'static str> {
    let slow = if options.quick { &[] } else { FITNESS_SLOW };
    FITNESS.iter().chain(slow).copied().collect()
}

fn fitness(context: &Arc<Context>, options: &Options) -> tokio::task::JoinHandle<Vec<Row>> {
    let (own, options) = (Arc::clone(context), options.clone());
    tokio::task::spawn_blocking(move || {
        let picked = picked(&options);
        match checks::run_only(&own.host, Subject::of(&own.settings), |id| picked.contains(&id)) {
            Ok(report) => report.checks.into_iter().map(Row::from).collect(),
            Err(_) => unfit(&options),
        }
    })
}

// Rows that are missing would pass for rows that are well.
fn unfit(options: &Options) -> Vec<Row> {
    let rows = picked(options).into_iter().map(|id| {
        let mut row = Row::new(id, Group::Host, Severity::Critical, "this host is fit");
        row.ended((Err(lost(&row, "no answer")), options.deadline));
        row
    });
    rows.collect()
}
